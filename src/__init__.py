"""Multi-armed bandit decisions in process, and a three-stage cold-start allocator built on them."""

if __name__ != "seedbed":
    raise ImportError(f"this is the package `seedbed`, imported as {__name__!r}; write `import seedbed`")

__version__ = "0.1.0"

__all__ = ["__version__", "warmup"]


def warmup(config: object) -> float:
    """Compile, and cache on disk, every kernel that a configuration will use; return the seconds it took.

    A service calls it (or the command `seedbed warmup`) before it takes traffic: the first decision afterwards is as
    fast as the thousandth. The next process only loads the compiled kernels.

    Parameters
    ----------
    config
        A policy such as `Thompson()`, whose bandit will be run; a `ColdStartConfig`; or a `Constrained`, of which a
        copy serves its arms a few times.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> import seedbed
    >>> from seedbed.bandits import Thompson
    >>> seedbed.warmup(Thompson()) > 0.0
    True
    """
    from ._warmup import warm_up

    return warm_up(config)
