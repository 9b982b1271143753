"""Populations: how the true rate of a metric is spread over newcomers, and what counts then say of one of them."""

from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...bandits.models.beta import Pseudocount

Floats = NDArray[np.float64]
Positive = Annotated[float, Field(gt=0.0, le=1e9)]


class _Population(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def mean(self) -> float:
        """Mean rate."""
        raise NotImplementedError

    @property
    def variance(self) -> float:
        """Variance of the rates."""
        raise NotImplementedError

    def quantile(self, level: float) -> float:
        """Smallest rate that a share `level` of the population does not exceed."""
        raise NotImplementedError


class BetaPopulation(_Population):
    """Shares of viewers, spread by a Beta distribution.

    Examples
    --------
    >>> from seedbed.allocators.cold_start import BetaPopulation
    >>> BetaPopulation(a=3.0, b=7.0).mean
    0.3
    """

    kind: Literal["beta"] = "beta"
    a: Pseudocount
    b: Pseudocount

    @property
    def mean(self) -> float:
        """Mean rate, a / (a + b)."""
        return self.a / (self.a + self.b)

    @property
    def variance(self) -> float:
        """Variance of the rates."""
        return self.mean * (1.0 - self.mean) / (self.a + self.b + 1.0)

    def quantile(self, level: float) -> float:
        """Smallest rate that a share `level` of the population does not exceed."""
        from scipy.special import betaincinv

        return float(betaincinv(self.a, self.b, level))


class GammaPopulation(_Population):
    """Events a unit of exposure, spread by a Gamma distribution.

    Examples
    --------
    >>> from seedbed.allocators.cold_start import GammaPopulation
    >>> GammaPopulation(shape=2.0, rate=40.0).mean
    0.05
    """

    kind: Literal["gamma"] = "gamma"
    shape: Pseudocount
    rate: Pseudocount

    @property
    def mean(self) -> float:
        """Mean rate, shape / rate."""
        return self.shape / self.rate

    @property
    def variance(self) -> float:
        """Variance of the rates."""
        return self.shape / self.rate**2

    def quantile(self, level: float) -> float:
        """Smallest rate that a share `level` of the population does not exceed."""
        from scipy.special import gammaincinv

        return float(gammaincinv(self.shape, level)) / self.rate


class Atoms(_Population):
    """Any population: rates and the share of newcomers that has each, as `fit_npmle` finds them.

    Parameters
    ----------
    support
        Rates, ascending, [J]; for shares of viewers below 1.
    weights
        Shares, [J], positive, which sum to 1.

    Examples
    --------
    Half at .1 and half at .3. Two successes in two trials make the upper one nine times as likely:

    >>> from seedbed.allocators.cold_start import Atoms, Gate
    >>> gate = Gate(metric="retained", bar=0.2, population=Atoms(support=(0.1, 0.3), weights=(0.5, 0.5)))
    >>> gate.probability([2], [2]).round(9).tolist()
    [0.9]
    """

    kind: Literal["atoms"] = "atoms"
    support: tuple[Positive, ...] = Field(min_length=1, max_length=10_000)
    weights: tuple[Annotated[float, Field(gt=0.0, le=1.0 + 1e-9)], ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.support) != len(self.weights):
            raise ValueError(f"support has {len(self.support)} rates and weights {len(self.weights)} shares")
        if any(low >= high for low, high in zip(self.support, self.support[1:], strict=False)):
            raise ValueError("support must be strictly ascending")
        if abs(sum(self.weights) - 1.0) > 1e-6:
            raise ValueError(f"weights sum to {sum(self.weights)}, not to 1")
        return self

    @classmethod
    def of(cls, support: ArrayLike, weights: ArrayLike) -> Self:
        """Make one from arrays: atoms of next to no weight are left out, the others are made to sum to 1."""
        rates, shares = np.asarray(support, np.float64), np.asarray(weights, np.float64)
        keep = shares > 1e-9 * shares.max()
        kept = shares[keep] / shares[keep].sum()
        return cls(support=tuple(rates[keep].tolist()), weights=tuple(kept.tolist()))

    @property
    def mean(self) -> float:
        """Mean rate."""
        return float(np.dot(self.support, self.weights))

    @property
    def variance(self) -> float:
        """Variance of the rates."""
        return float(np.dot((np.array(self.support) - self.mean) ** 2, self.weights))

    def quantile(self, level: float) -> float:
        """Smallest rate that a share `level` of the population does not exceed."""
        reached = np.searchsorted(np.cumsum(self.weights), level - 1e-12)
        return self.support[min(int(reached), len(self.support) - 1)]


AnyPopulation = Annotated[BetaPopulation | GammaPopulation | Atoms, Field(discriminator="kind")]


def moment_beta(population: Any, weakest: float = 0.1, strongest: float = 1e6) -> tuple[float, float]:
    """Beta distribution with the mean and variance of a population of shares: the prior of Thompson's draws.

    The strength a + b is kept within [weakest, strongest]: a population of one atom has no variance.
    """
    if isinstance(population, BetaPopulation):
        return population.a, population.b
    mean = min(max(population.mean, 1e-9), 1.0 - 1e-9)
    spread = max(population.variance, 1e-300)
    strength = min(max(mean * (1.0 - mean) / spread - 1.0, weakest), strongest)
    return mean * strength, (1.0 - mean) * strength
