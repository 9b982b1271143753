"""The two sets of compiler flags for kernels, and what to do where no cache can be written."""

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

_warned = False


def _compiled(function: Function, *, nogil: bool) -> Function:
    """Compile lazily, with numba's on-disk cache if there is a place for it.

    `error_model="numpy"`: Python's tests every division and stops SIMD. No `fastmath`: NaN and infinity carry
    meaning, and decisions must replay. No `parallel`: it crashes under fork and threads.
    """
    global _warned
    options: dict[str, Any] = {"error_model": "numpy", "nogil": nogil}
    try:
        compiled: Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba: "cannot cache function ...: no locator available"
        if not _warned:
            _warned = True
            warnings.warn(
                "no folder for numba's cache is writable, so every process compiles its kernels anew (seconds); "
                "set NUMBA_CACHE_DIR to a writable folder",
                RuntimeWarning,
                stacklevel=2,
            )
        compiled = numba.njit(**options)(function)
    return compiled


def kernel(function: Function) -> Function:
    """Compile a kernel that holds the GIL: the only kind that may touch shared state."""
    return _compiled(function, nogil=False)


def free_kernel(function: Function) -> Function:
    """Compile a kernel that releases the GIL: private arrays only."""
    return _compiled(function, nogil=True)
