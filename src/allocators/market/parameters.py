"""Every number of the simulated market, each with its published source or marked as an assumption.

References
----------
.. [1] KuaiLive: a real-time interactive dataset for live streaming recommendation (2025), arXiv 2508.05633; and
   third-party analyses of it. Heavy users only.
.. [2] C. Gao et al. (2022), "KuaiRand: an unbiased sequential recommendation dataset with randomly exposed videos",
   CIKM. Short videos.
.. [3] Public rankings of Twitch channels: mean viewers of the top 1,000, and persistence from week to week.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ._tables import BUCKETS, COHORTS, HOURS, Bucket, Cohort

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Rate = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=1e9)]
Spread = Annotated[float, Field(ge=0.0, le=5.0)]
Shift = Annotated[float, Field(ge=-5.0, le=5.0)]
Correlation = Annotated[float, Field(ge=-1.0, le=1.0)]
Count = Annotated[int, Field(ge=1, le=2**40)]

LIVE = "KuaiLive [1]"
RAND = "KuaiRand-Pure [2]"


def _of(default: Any, text: str) -> Any:
    return Field(default, description=text)


class MarketConfig(BaseModel):
    """Numbers of the market; `MarketConfig.model_fields[name].description` says what each is, and its source.

    Examples
    --------
    >>> from seedbed.allocators.market.parameters import MarketConfig
    >>> MarketConfig.model_fields["click_unmatched"].description
    'click rate of randomly shown viewers, mean over rooms; KuaiRand-Pure [2]'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    kind: Literal["market"] = _of("market", "name of this kind of configuration; an assumption of the file format only")

    rooms_per_day: Annotated[int, Field(ge=1, le=10**7)] = _of(
        20_000, "rooms that open in a day; assumption (the size that is asked for)"
    )
    exposures_per_day: Count = _of(
        10_000_000, "exposures that exploration may hand out in a day; assumption (the size that is asked for)"
    )
    hours: tuple[Positive, ...] = Field(
        HOURS,
        min_length=24,
        max_length=24,
        description=f"weight of each hour, for viewers and openings alike; peaks 12-13 and 20-22: {LIVE}, "
        "their height: assumption",
    )
    buckets: tuple[Bucket, ...] = Field(
        BUCKETS, min_length=1, max_length=1_000, description="category x language x region of rooms; assumption"
    )
    cohorts: tuple[Cohort, ...] = Field(
        COHORTS, min_length=1, max_length=100, description="kinds of viewers, shares by hour, habits; assumption"
    )

    newcomer_share: Share = _of(0.10, "share of rooms that are their streamer's first; assumption")
    rooms_per_creator_day: Annotated[float, Field(gt=1.0, le=20.0)] = _of(
        1.22, f"rooms a day of a streamer who streams that day; {LIVE}"
    )
    weekly_persistence: tuple[Rate, Rate, Rate, Rate] = _of(
        (0.46, 0.63, 0.77, 0.82),
        "probability to go on for a week, by audience below 10 / 100 / 1,000 / above; Twitch rankings [3]",
    )
    room_minutes_median: Positive = _of(60.0, "median length of a room, minutes; assumption")
    room_minutes_sigma: Spread = _of(0.8, "standard deviation of its logarithm; assumption")
    room_minutes_min: Annotated[int, Field(ge=1, le=1_440)] = _of(5, "shortest room, minutes; assumption")
    room_minutes_max: Annotated[int, Field(ge=1, le=1_440)] = _of(720, "longest room, minutes; assumption")

    click_spread: Spread = _of(
        0.32, "sd over rooms of the logit of the click rate; assumption (retained an exposure: variation about .5)"
    )
    watch_spread: Spread = _of(
        0.45, "sd over rooms of the logarithm of watch time; assumption (retained an exposure: variation about .5)"
    )
    click_watch_correlation: Correlation = _of(0.5, "of what makes viewers click and what makes them stay; assumption")
    quality_persistence: Share = _of(
        0.7, "share of the variance of a room's quality that is its streamer's and persists; assumption"
    )
    drift: Spread = _of(0.02, "sd of the step of quality in a minute, in its standard deviations; assumption")
    highlights_per_hour: Annotated[float, Field(ge=0.0, le=60.0)] = _of(
        1.5, "highlights of a room in an hour; assumption"
    )
    highlight_minutes: Annotated[float, Field(ge=1.0, le=60.0)] = _of(
        4.0, "mean length of a highlight, minutes; assumption"
    )
    highlight_click: Shift = _of(
        0.4, "rise of the logit of the click rate; assumption (that it rises: Kuaishou's Moment&Cross)"
    )
    highlight_watch: Shift = _of(0.5, "rise of the logarithm of watch time; assumption")
    highlight_talk: Positive = _of(2.0, "factor on comments and gifts a click; assumption")

    audience_median: Positive = _of(
        20.0, "matched viewers who come by in a minute of the average hour, of a regular streamer; assumption"
    )
    audience_sigma: Spread = _of(0.92, "sd of its logarithm over streamers; Twitch rankings, top 1,000 [3]")
    audience_quality_correlation: Correlation = _of(
        0.4, "of the logarithm of the audience and the streamer's quality; assumption"
    )
    newcomer_audience: Positive = _of(0.5, "factor on the audience of a newcomer; assumption")
    matched_share: Share = _of(
        0.43,
        "share of a regular room's exposures that reach matched viewers while there are any; assumption "
        f"(so that the overall click rate is 27.9 %: {LIVE})",
    )
    newcomer_matched_share: Share = _of(0.21, "the same of a newcomer, whom matching knows less; assumption")
    pool_minutes: Positive = _of(60.0, "matched audience that can be tired out, in minutes of its arrival; assumption")
    recovery_minutes: Positive = _of(30.0, "time in which half of a tired audience is replaced; assumption")
    reach: Positive = _of(
        10.0,
        "unmatched viewers a minute, in audiences, from which on they are further and further from the room's own; "
        "their click rate falls as (1 + viewers / (reach x audience)) ** -reach_decay; assumption",
    )
    reach_decay: Share = _of(0.5, "how fast it falls; assumption")
    position_factors: tuple[Positive, ...] = Field(
        (1.3, 1.1, 0.95, 0.85, 0.8),
        min_length=1,
        max_length=100,
        description="factor of each position of the slate on the click rate, divided by their mean; assumption",
    )

    click_overall: Rate = _of(0.279, f"click rate of exposures, overall; {LIVE}")
    click_unmatched: Rate = _of(0.176, f"click rate of randomly shown viewers, mean over rooms; {RAND}")
    click_matched: Rate = _of(0.451, f"click rate of matched viewers, mean over rooms; {RAND}")
    long_view_unmatched: Rate = _of(
        0.085, f"long views an exposure of randomly shown viewers; only its ratio to the matched is used; {RAND}"
    )
    long_view_matched: Rate = _of(0.318, f"long views an exposure of matched viewers; {RAND}")
    watch_median: Positive = _of(4.87, f"median seconds watched a click; {LIVE}")
    watch_sigma: Annotated[float, Field(gt=0.0, le=10.0)] = _of(
        2.38, f"sd of the logarithm of the seconds watched, of all clicks together; {LIVE}"
    )
    watch_max: Positive = _of(43_200.0, "longest watch time that is counted, seconds; assumption")

    negative_unmatched: Rate = _of(0.00114, f"negative feedback an exposure of randomly shown viewers; {RAND}")
    negative_matched: Rate = _of(0.00079, f"negative feedback an exposure of matched viewers; {RAND}")
    negative_spread: Spread = _of(0.5, "sd over rooms of the logarithm of that rate; assumption")
    harmful_share: Share = _of(0.01, "share of streamers whose rooms do harm; assumption")
    harmful_negative: Rate = _of(
        0.06, "negative feedback an exposure of their rooms; assumption (three times a limit of 2 %)"
    )

    comments_per_click: Positive = _of(0.0400, f"comments a click; {LIVE}")
    comment_spread: Spread = _of(0.6, "sd over rooms of the logarithm of that rate; assumption")
    comment_dispersion: Annotated[float, Field(ge=1.0, le=100.0)] = _of(
        3.0, "variance over mean of the comments of a room in a minute; assumption"
    )
    follows_per_retained: Rate = _of(0.03, "follows a viewer who stayed for a minute; assumption")

    gifts_per_click: Positive = _of(0.0148, f"gifts a click; {LIVE}")
    gift_spread: Spread = _of(
        1.5,
        "sd over streamers of the logarithm of that rate; assumption (so that .93 is the Gini of gifts and 92 % "
        f"get none: {LIVE})",
    )
    gift_dispersion: Annotated[float, Field(ge=1.0, le=100.0)] = _of(
        1.5, "variance over mean of the gifts of a room in a minute; assumption"
    )
    gift_delays: tuple[tuple[Share, Annotated[float, Field(ge=0.0, le=1e6)]], ...] = Field(
        ((0.86, 0.0), (0.861, 60.0), (0.90, 1_021.0), (0.95, 3_003.0), (0.99, 8_617.0), (1.0, 21_600.0)),
        min_length=2,
        max_length=100,
        description="quantiles of the delay of gifts: probability, seconds; joined by straight lines; "
        f"p86, p90, p95, p99: {LIVE}, the first and the last delay: assumption",
    )
    price_median: Positive = _of(2.0, f"median value of a gift, which is revenue 1; {LIVE}")
    price_mean: Positive = _of(83.0, f"mean value of a gift, kept by a largest price; {LIVE}")
    price_p99: Positive = _of(1_488.0, f"99 % quantile of the value of a gift; {LIVE}")

    content_score_correlation: Share = _of(0.4, "of the content score and the room's quality; assumption")
    creator_score_correlation: Share = _of(
        0.5, "of the creator score and the streamer's quality, of regulars; assumption"
    )
    newcomer_score_correlation: Share = _of(0.1, "of the creator score and the streamer's quality; assumption")
    tier_shares: tuple[Share, Share, Share, Share] = _of(
        (0.01, 0.05, 0.20, 0.74), "shares of regulars in tiers S, A, B, C, by audience; newcomers are C; assumption"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.room_minutes_min > self.room_minutes_max:
            raise ValueError(
                f"room_minutes_min = {self.room_minutes_min} is above room_minutes_max = {self.room_minutes_max}"
            )
        if not self.click_unmatched < self.click_overall < self.click_matched:
            raise ValueError("click_unmatched < click_overall < click_matched must hold")
        _check_shares([bucket.share for bucket in self.buckets], "shares of buckets")
        _check_shares([cohort.share for cohort in self.cohorts], "shares of cohorts")
        _check_shares(list(self.tier_shares), "tier_shares")
        for name, group in (("buckets", self.buckets), ("cohorts", self.cohorts)):
            names = [member.name for member in group]
            if len(set(names)) != len(names):
                raise ValueError(f"names of {name} must be distinct; got {names}")
        steps = list(zip(self.gift_delays, self.gift_delays[1:], strict=False))
        if self.gift_delays[-1][0] != 1.0 or any(a[0] >= b[0] or a[1] > b[1] for a, b in steps):
            raise ValueError("gift_delays must rise in probability, to 1, and not fall in seconds")
        if not self.price_median < self.price_mean < self.price_p99:
            raise ValueError("price_median < price_mean < price_p99 must hold")
        return self


def _check_shares(shares: list[float], what: str) -> None:
    if abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(f"{what} must add up to 1; got {sum(shares)!r}")
