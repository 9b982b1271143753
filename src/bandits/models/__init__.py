"""Reward models: what is believed of each arm. The same cells in each file."""

from .beta import Beta
from .gamma_poisson import GammaPoisson
from .gaussian import Gaussian
from .hybrid_linear import HybridLinear
from .linear import Linear
from .shared_linear import SharedLinear

AnyCountModel = Beta | Gaussian | GammaPoisson
AnyLinearModel = Linear | SharedLinear | HybridLinear
AnyModel = AnyCountModel | AnyLinearModel

__all__ = [
    "AnyCountModel",
    "AnyLinearModel",
    "AnyModel",
    "Beta",
    "GammaPoisson",
    "Gaussian",
    "HybridLinear",
    "Linear",
    "SharedLinear",
]
