"""Every number of the cold-start allocator, with two named presets."""

from typing import Annotated, Any, Literal, Self

from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...bandits import ChangeDetector
from ...bandits.models._base import Seconds
from ...bandits.models.beta import Pseudocount
from ...constraints import Budget, Proportion, StopLoss
from ...constraints.evidence.e_processes import Fraction
from .gates import Gate
from .harms import Harm
from .populations import BetaPopulation
from .thresholds import fit_beta_moments
from .yields import PacedQuota

Count = Annotated[int, Field(ge=0, lt=2**53)]
Some = Annotated[int, Field(ge=1, lt=2**53)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Factor = Annotated[float, Field(ge=1e-6, le=1e6)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class ColdStartConfig(BaseModel):
    """Numbers of the three stages, the stop-loss, the budget and the pacing.

    `ColdStartConfig()` is the preset `live`, for live rooms judged by one-minute retention; `ColdStartConfig.feed()` is
    for feeds with click rates below one per cent. Both take any field as a keyword.

    Parameters
    ----------
    quota_base, quota_content, quota_creator, quota_tiers, quota_min, quota_max
        Seed quota, exposures: `clip(base + content x content_score + creator x creator_score + tiers[tier], min, max)`;
        `quota_tiers` adds to the tiers S, A, B and C.
    seed_deadline
        Seconds after opening at which SEED ends in any case.
    seed_done
        Share of the quota that must have been seen for SEED to end, and its floor with it.
    seed_share
        Largest share of a tick's exposures that the floor of SEED rooms may take.
    front_load
        Factor on the even pace of what is left of the quota.
    verify_cap, scale_cap
        Exposures of a room, all in all, at which VERIFY and SCALE end; None for no end.
    extension
        Exposures by which the caps of the most promising rooms that ended at `verify_cap` are raised when a tick would
        otherwise go unspent; 0 for never.
    tick_cap
        Largest number of exposures of a room in one tick.
    sub_rounds
        Draws of each room a tick, so that one lucky draw never spends the tick.
    bar, prior, false_promotion
        A room is promoted when `P(rate > bar) >= 1 - false_promotion`, rate ~ Beta(prior + counts). The prior must
        describe the population of newcomers (`fitted`): a flat one promotes falsely in a third of cases.
    gates
        Further bars, on other metrics: a room is promoted when it passes all. Rules that are in force
        (`ColdStartAllocator.use_rules`) take the place of `bar`, `prior` and `gates`.
    demote_below, futile_below
        Smallest `P(rate > bar)` of the gates below which SCALE falls back to VERIFY, and VERIFY gives up.
    objective
        What the draws of rooms are ranked by: "global", the draw; or "bucket_relative", the draw over the bar of the
        room's bucket, so that the best of each bucket are found, at some cost in the mean.
    stop
        The stop-loss of negative feedback.
    harms
        Further harms. A room is stopped when the mean evidence of all reaches `1 / stop.alpha`, which is evidence that
        one of them is there, whatever their dependence.
    change_detector
        Notices that a room's retention has changed: its evidence then starts afresh, SCALE falls back to VERIFY, and
        the stop-loss of a room's k-th start, from 1, asks for `2^k / alpha`. It takes some `32 x window` bytes a room.
    mismatch_below
        Retention of exploration traffic over that of organic traffic below which a room is MISMATCHED.
    budget
        Exposures that all rooms together may get; None for what each tick offers.
    tick_seconds
        Usual time from tick to tick.
    multiplier_first, multiplier_min, multiplier_max, multiplier_max_s
        Traffic multiplier: the first guess, its bounds, and the upper bound of tier S.
    yield_memory
        Share of the evidence on a room's yield (exposures a unit of multiplier) that is kept from tick to tick.
    multiplier_lag
        Ticks from a multiplier to the report of what it brought: 1 if all is reported by the next tick.
    flight_seconds
        Time after which a granted exposure that was not reported no longer keeps a room waiting at its cap.
    feedback_window
        Seconds after closing during which feedback of a room is still accepted.
    stale_after, stale_fade
        Seconds without word of the fleet after which promotions wait, and over which multipliers then go to 1.
    block_reasons
        Reasons for which the host may block a room.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cold_start"] = "cold_start"
    quota_base: Count = 100
    quota_content: Count = 200
    quota_creator: Count = 200
    quota_tiers: tuple[Count, Count, Count, Count] = (0, 0, 0, 0)
    quota_min: Some = 60
    quota_max: Some = 500
    seed_deadline: Seconds = 600.0
    seed_done: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    seed_share: Share = 0.25
    front_load: Annotated[float, Field(ge=1.0, le=2.0)] = 1.4
    verify_cap: Some = 600
    scale_cap: Some | None = 3_000
    extension: Count = 0
    tick_cap: Some = 60
    sub_rounds: Annotated[int, Field(ge=1, le=1_000)] = 6
    bar: Fraction = 0.30
    prior: tuple[Pseudocount, Pseudocount] = (4.76, 15.24)
    false_promotion: Fraction = 0.10
    gates: tuple[Gate, ...] = ()
    demote_below: Share = 0.30
    futile_below: Share = 0.02
    objective: Literal["global", "bucket_relative"] = "global"
    stop: StopLoss = StopLoss()
    harms: tuple[Harm, ...] = ()
    change_detector: ChangeDetector | None = None
    mismatch_below: Share = 0.6
    budget: Budget | None = None
    tick_seconds: Seconds = 60.0
    multiplier_first: Factor = 2.0
    multiplier_min: NonNegative = 0.1
    multiplier_max: Factor = 3.0
    multiplier_max_s: Factor = 8.0
    yield_memory: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.7
    multiplier_lag: Annotated[int, Field(ge=1, le=60)] = 1
    flight_seconds: NonNegative = 180.0
    feedback_window: NonNegative = 600.0
    stale_after: NonNegative = 300.0
    stale_fade: Seconds = 600.0
    block_reasons: tuple[str, ...] = ("BLOCKED",)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.quota_min > self.quota_max:
            raise ValueError(f"quota_min = {self.quota_min} is above quota_max = {self.quota_max}")
        if self.verify_cap < self.quota_max:
            raise ValueError(
                f"verify_cap = {self.verify_cap} counts all exposures and is below quota_max = {self.quota_max}"
            )
        if self.scale_cap is not None and self.scale_cap < self.verify_cap:
            raise ValueError(f"scale_cap = {self.scale_cap} is below verify_cap = {self.verify_cap}")
        if not self.futile_below <= self.demote_below < 1.0 - self.false_promotion:
            raise ValueError("futile_below <= demote_below < 1 - false_promotion must hold")
        if self.multiplier_min > min(self.multiplier_max, self.multiplier_max_s):
            raise ValueError("multiplier_min is above an upper bound of the multiplier")
        if self.stop.metric != "negative":
            raise ValueError(f"stop.metric = {self.stop.metric!r}: rooms are stopped for 'negative' feedback only")
        if not 1 <= len(self.block_reasons) <= 255 or len(set(self.block_reasons)) != len(self.block_reasons):
            raise ValueError("block_reasons must be 1 to 255 distinct names")
        if self.prior == (1.0, 1.0):
            raise ValueError("the flat prior (1, 1) promotes falsely in a third of cases; fit it with `fitted`")
        metrics = ["retained", *(gate.metric for gate in self.gates)]
        if len(set(metrics)) != len(metrics):
            raise ValueError(f"gates: each metric has one bar, and 'retained' is that of `bar`; got {metrics[1:]}")
        if self.budget is not None:
            plain = Budget(self.budget.resource, limit=self.budget.limit, window=self.budget.window)
            if self.budget != plain or self.budget.limit != int(self.budget.limit):
                raise ValueError("budget: rooms share one account of whole exposures; give resource, limit and window")
        return self

    @property
    def paced(self) -> PacedQuota:
        """How multipliers are paced."""
        return PacedQuota(
            lag=self.multiplier_lag,
            memory=self.yield_memory,
            multiplier_first=self.multiplier_first,
            multiplier_min=self.multiplier_min,
            multiplier_max=self.multiplier_max,
            multiplier_max_s=self.multiplier_max_s,
        )

    @property
    def all_gates(self) -> tuple[Gate, ...]:
        """The gate of `bar` and `prior`, and the further ones."""
        a, b = self.prior
        return (Gate(metric="retained", bar=self.bar, population=BetaPopulation(a=a, b=b)), *self.gates)

    @property
    def all_harms(self) -> tuple[Harm, ...]:
        """The harm of `stop`, and the further ones."""
        proportion = Proportion(limit=self.stop.limit, mixing=self.stop.mixing)
        return (Harm(metric="negative", evidence=proportion), *self.harms)

    @classmethod
    def live(cls, **changes: Any) -> Self:
        """Live rooms, judged by retention after one minute.

        Prior and bar are those of the simulated market that the design was tried in (mean .238, upper quartile .30);
        replace them by your own with `fitted`.
        """
        return cls(**changes)

    @classmethod
    def feed(cls, **changes: Any) -> Self:
        """Feeds, judged by clicks: rates below one per cent need larger quotas.

        Prior and bar describe the click rates of 46 items of a fashion shop (`examples/data/`, the women's table);
        replace them by your own with `fitted`.
        """
        numbers: dict[str, Any] = {
            "quota_base": 200,
            "quota_content": 150,
            "quota_creator": 150,
            "quota_min": 200,
            "quota_max": 500,
            "seed_deadline": 86_400.0,
            "verify_cap": 1_000,
            "scale_cap": None,
            "extension": 500,
            "tick_cap": 500,
            "bar": 0.00337,
            "prior": (18.2, 5_382.0),
            "feedback_window": 86_400.0,
        }
        return cls(**{**numbers, **changes})

    def fitted(self, successes: ArrayLike, trials: ArrayLike, *, quantile: float | None = None) -> Self:
        """Take prior and bar from the counts of a population, which must not be the one that will be judged.

        Parameters
        ----------
        successes, trials
            Counts of each member, [M].
        quantile
            The bar, as a quantile of the fitted rates, in (0, 1); None for their mean.
        """
        a, b = fit_beta_moments(successes, trials)
        bar = a / (a + b)
        if quantile is not None:
            from scipy.special import betaincinv

            bar = float(betaincinv(a, b, quantile))
        return type(self)(**{**dict(self), "prior": (a, b), "bar": bar})
