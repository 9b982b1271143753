"""Process start to import and to the first decision, in processes of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from measuring import Clock, Result, result

FIRST = """
from seedbed.bandits import Bandit, Thompson
Bandit(Thompson(), range(1_000), seed=1).select()
"""
MABWISER = """
from mabwiser.mab import MAB, LearningPolicy
mab = MAB(list(range(1_000)), LearningPolicy.ThompsonSampling(), seed=1)
mab.fit([0, 1], [0, 1])
mab.predict()
"""
MODULES = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"


def run(code: str) -> str:
    """Run code in a fresh interpreter; return what it prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def loaded(code: str) -> set[str]:
    """Modules that the code loads."""
    return set(json.loads(run(code + MODULES)))


def starts(clock: Clock) -> Iterator[Result]:
    """Imports and first decisions, with all caches warm."""
    codes = ("import numpy", "import seedbed", "import seedbed.bandits", FIRST, MABWISER)
    jobs = [partial(run, code) for code in codes]
    numpy, ours, bandits, first, peer = clock.least(*jobs)
    yield result("import seedbed", ours, "import numpy", numpy, seconds=numpy + 0.15)
    yield modules("modules that `import seedbed` loads", "import seedbed", {"numba", "scipy.stats"})
    yield result("import seedbed.bandits", bandits, "import numpy", numpy)
    yield result("import to first decision, 1,000 arms", first, "MABWiser", peer, limit=1.0)
    yield modules("modules that a first decision loads", FIRST, {"scipy.linalg"})


def modules(target: str, code: str, unwanted: set[str]) -> Result:
    """Whether code leaves modules alone."""
    found = loaded(code)
    there = ", ".join(sorted(unwanted & found)) or "none of these"
    return Result(target, there, f"{len(found)} in all", "", "not " + ", ".join(sorted(unwanted)), not unwanted & found)


SUBJECT = (starts,)
