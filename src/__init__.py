"""Multi-armed bandit decisions in process, and a three-stage cold-start allocator built on them."""

if __name__ != "seedbed":
    raise ImportError(f"this is the package `seedbed`, imported as {__name__!r}; write `import seedbed`")

__version__ = "0.1.0"

__all__ = ["__version__"]
