"""Where numba's cache stands: keyed by a digest of the sources, set before numba is imported."""

import os
import runpy
from pathlib import Path

_SCRIPT = Path(__file__).parents[1] / ".dev" / "cache_dir.py"

if "NUMBA_CACHE_DIR" not in os.environ and _SCRIPT.exists():
    os.environ["NUMBA_CACHE_DIR"] = str(runpy.run_path(str(_SCRIPT))["cache_dir"]())

from hypothesis import settings  # noqa: E402  (numba's cache is set before anything may import it)

# no deadline: the first call compiles; derandomised: a run is the same everywhere
settings.register_profile("seedbed", deadline=None, derandomize=True, max_examples=200)
settings.register_profile("evidence", deadline=None, derandomize=True, max_examples=20_000)
settings.load_profile("seedbed")
