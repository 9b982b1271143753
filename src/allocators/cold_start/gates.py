"""Gates: what the counts of a room say about its rates, against the bars of its bucket."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...bandits._numba import kernel
from ...bandits._special import log_beta_tails
from ...bandits._special_gamma import gamma_log_tails
from .populations import AnyPopulation, Atoms, BetaPopulation, GammaPopulation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXPOSURE_OF = {"retained": "exposures", "follows": "exposures", "watched": "exposures", "comments": "minutes"}


class Gate(BaseModel):
    """A bar for one metric: passed where `P(rate > bar | counts) >= 1 - false_promotion`.

    With the right population at most a share `false_promotion` of those who pass is below the bar, however often one
    looks; with a wrong one, not. So it must be fitted (`fit_rules`), on rooms as they come, not on chosen ones.

    Parameters
    ----------
    metric
        "retained", "follows" or "watched" an exposure, the latter as a sum of watched shares (of which the gate then is
        conservative, as they vary less than 0s and 1s); or "comments" a viewer-minute.
    bar
        Rate to be exceeded.
    population
        Of the true rates of newcomers.
    dispersion
        Variance over mean of the number of comments in a short time, >= 1, from earlier data: comments and minutes are
        divided by it. For "comments" only.

    Examples
    --------
    Uniform rates and no counts: half of them are above 1/2.

    >>> from seedbed.allocators.cold_start import BetaPopulation, Gate
    >>> gate = Gate(metric="retained", bar=0.5, population=BetaPopulation(a=1.0, b=1.0))
    >>> gate.probability([0, 1], [0, 1]).round(9).tolist()
    [0.5, 0.75]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Literal["retained", "follows", "watched", "comments"]
    bar: Annotated[float, Field(gt=0.0, le=1e9)]
    population: AnyPopulation
    dispersion: Annotated[float, Field(ge=1.0, le=1e6)] = 1.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        largest = max(self.population.support) if isinstance(self.population, Atoms) else 0.0
        if self.is_rate:
            if isinstance(self.population, BetaPopulation):
                raise ValueError("comments a minute may exceed 1: give a GammaPopulation or Atoms, not a Beta")
        elif isinstance(self.population, GammaPopulation) or self.bar >= 1.0 or largest >= 1.0:
            raise ValueError(f"{self.metric} are shares of the viewers: bar and population must lie below 1")
        elif self.dispersion != 1.0:
            raise ValueError(f"dispersion is for comments, not for {self.metric}")
        return self

    @property
    def is_rate(self) -> bool:
        """Whether events are counted over time, so that there may be more of them than exposures."""
        return self.metric == "comments"

    @property
    def exposure(self) -> str:
        """What the metric's rate is counted over: "exposures" or "minutes"."""
        return EXPOSURE_OF[self.metric]

    def probability(self, events: ArrayLike, exposure: ArrayLike) -> Floats:
        """`P(rate > bar)` of rooms by their counts, `[C]` each."""
        x, y = np.broadcast_arrays(np.asarray(events, np.float64), np.asarray(exposure, np.float64))
        return GateTable([self]).judge(x, y, np.zeros(x.size, np.int64))[0]

    def rate(self, events: ArrayLike, exposure: ArrayLike) -> Floats:
        """Posterior mean of the rate, `[C]`: the observed one, shrunk to the population's."""
        x, y = np.broadcast_arrays(np.asarray(events, np.float64), np.asarray(exposure, np.float64))
        return GateTable([self]).judge(x, y, np.zeros(x.size, np.int64))[1]


_BETA, _GAMMA, _SHARES, _RATES = range(4)


class _Numbers(NamedTuple):
    """Gates of G buckets as arrays.

    kinds: int64 `[G]`; numbers: `[4, G]` bar, the population's two parameters, dispersion.
    starts: int64 `[G + 1]` where the atoms of each begin.
    atoms: `[4, A]` ln of rate, what each unit of exposure without an event takes from ln likelihood, ln weight, rate.
    """

    kinds: Ints
    numbers: Floats
    starts: Ints
    atoms: Floats


class GateTable:
    """The gates of one metric in all buckets, compiled: rooms of all buckets are judged in one call."""

    def __init__(self, gates: Sequence[Gate]) -> None:
        self.gates = tuple(gates)
        self._numbers = _compile(self.gates)

    def judge(self, events: Floats, exposure: Floats, buckets: Ints) -> tuple[Floats, Floats]:
        """Judge rooms by their counts and the index of their bucket, `[C]` each.

        Returns
        -------
        (probability, rate)
            `P(rate > bar)` and the posterior mean, `[C]`.
        """
        x, y = np.ascontiguousarray(events, np.float64), np.ascontiguousarray(exposure, np.float64)
        probability, rate = np.empty(x.size), np.empty(x.size)
        _judge(*self._numbers, x, y, np.ascontiguousarray(buckets, np.int64), probability, rate)
        return probability, rate


def _compile(gates: Sequence[Gate]) -> _Numbers:
    kinds, numbers = np.empty(len(gates), np.int64), np.zeros((4, len(gates)))
    starts, atoms = [0], []
    for i, gate in enumerate(gates):
        population: Any = gate.population
        numbers[:, i] = gate.bar, 0.0, 0.0, gate.dispersion
        if isinstance(population, BetaPopulation):
            kinds[i] = _BETA
            numbers[1:3, i] = population.a, population.b
        elif isinstance(population, GammaPopulation):
            kinds[i] = _GAMMA
            numbers[1:3, i] = population.shape, population.rate
        else:
            kinds[i] = _RATES if gate.is_rate else _SHARES
            rates = np.array(population.support)
            loss = rates if gate.is_rate else -np.log1p(-rates)
            gain = np.log(rates) if gate.is_rate else np.log(rates) + loss
            atoms.append(np.array([gain, loss, np.log(population.weights), rates]))
        starts.append(starts[-1] + (atoms[-1].shape[1] if kinds[i] >= _SHARES else 0))
    joined = np.ascontiguousarray(np.concatenate(atoms, axis=1)) if atoms else np.empty((4, 0))
    return _Numbers(kinds, numbers, np.array(starts, np.int64), joined)


@kernel
def _judge(
    kinds: Ints,
    numbers: Floats,
    starts: Ints,
    atoms: Floats,
    events: Floats,
    exposure: Floats,
    buckets: Ints,
    probability: Floats,
    rate: Floats,
) -> None:
    scratch = np.empty(max(atoms.shape[1], 1))
    for i in range(events.size):
        g = buckets[i]
        bar, a, b = numbers[0, g], numbers[1, g], numbers[2, g]
        x, y = events[i] / numbers[3, g], exposure[i] / numbers[3, g]
        if kinds[g] == 0:
            probability[i] = math.exp(log_beta_tails(a + x, b + y - x, math.log(bar / (1.0 - bar)))[1])
            rate[i] = (a + x) / (a + b + y)
        elif kinds[g] == 1:
            probability[i] = math.exp(gamma_log_tails(a + x, math.log(bar * (b + y)))[1])
            rate[i] = (a + x) / (b + y)
        else:
            first, last = starts[g], starts[g + 1]
            highest = -math.inf
            for j in range(first, last):
                scratch[j] = atoms[2, j] + x * atoms[0, j] - y * atoms[1, j]
                highest = max(highest, scratch[j])
            total, above, weighted = 0.0, 0.0, 0.0
            for j in range(first, last):
                if scratch[j] > highest - 45.0:  # the others are below the last digit
                    mass = math.exp(scratch[j] - highest)
                    total += mass
                    weighted += mass * atoms[3, j]
                    if atoms[3, j] > bar:
                        above += mass
            probability[i] = above / total
            rate[i] = weighted / total
