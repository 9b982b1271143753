"""Was it better? The value of a policy, read from the log of another."""

from .estimate import Estimate, effective_sample_size, summarise

__all__ = ["Estimate", "effective_sample_size", "summarise"]
