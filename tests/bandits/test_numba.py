import os
import subprocess
import sys

import pytest

import seedbed

RUN = "from seedbed.bandits import Bandit, Thompson; print(Bandit(Thompson(), ['a']).select().arms)"


@pytest.mark.slow
def test_without_a_writable_cache_it_still_runs_and_warns_once(tmp_path):
    """numba raises at import where neither its folder, the sources' nor home can be written."""
    program = (
        "import numba.core.caching as c\n"
        "c.CacheImpl._locator_classes = []\n"
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        f"    {RUN}\n"
        "print([str(w.message) for w in caught])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    arms, warned = done.stdout.splitlines()
    assert arms == "['a']"
    assert warned.count("NUMBA_CACHE_DIR") == 1


def test_importing_seedbed_is_light(tmp_path):
    program = (
        "import sys, seedbed; print([m for m in ('numba', 'scipy.stats', 'pydantic', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"


def test_importing_the_library_leaves_heavy_parts_out(tmp_path):
    program = (
        "import sys, seedbed.bandits, seedbed.allocators\n"
        "print([m for m in ('scipy.stats', 'rich', 'argparse') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "scipy.stats" not in done.stdout
    assert "rich" not in done.stdout


def test_the_package_refuses_another_name():
    source = os.path.dirname(seedbed.__file__)
    program = (
        "import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('src', {os.path.join(source, '__init__.py')!r})\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "import seedbed" in done.stderr
