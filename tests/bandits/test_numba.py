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


USERS = """
import importlib, pkgutil
import numpy as np
import seedbed
from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.bandits import KLUCB, UCB1, Bandit, Beta, Thompson
from seedbed.bandits.simulation import Bernoulli, simulate

for policy in (Thompson(model=Beta(prior=(1, 2))), UCB1(alpha=1), KLUCB(c=0)):
    bandit = Bandit(policy, ["a", 2, "c"], seed=2**64 - 1)
    for reward in (1, 1.0, True, np.float32(0.5), np.int8(1), np.float64(0)):
        bandit.update("a", reward, weight=reward)
        bandit.update(np.int64(2), reward)
        bandit.update(["a", 2], [reward, reward], weight=reward)
    bandit.update(np.array(["a", "c"]), np.ones(4, np.float32)[::2], weight=np.ones(4, np.int32)[::2])
    bandit.update_rows(bandit.rows(["a", "c", "a"])[::2], [1, 0])
    bandit.select(); bandit.select(("a", 2), k=2); bandit.select_rows(bandit.rows(["a", "c"])[::-1])
    bandit.mean(); bandit.scores(["a"]); bandit.retire_arms(["c"]); bandit.add_arms(range(10, 200))
    Bandit.from_bytes(bandit.to_bytes()).select()
    simulate(policy, Bernoulli([0, 1]), np.int64(10), (1, 2**64 - 1))
allocator = ColdStartAllocator(ColdStartConfig(bar=0.3, stop={"mixing": (1, 24)}), seed=1)
allocator.open(["r", 5], now=0)
allocator.tick(now=60, exposures=np.int64(100))
allocator.observe(["r", 5], at=60, exposures=(np.int32(3), 4), retained=[1, 1])
allocator.tick(now=np.float32(120), exposures=100)
from seedbed.bandits import evaluation
from seedbed.bandits.attribution import Attribution, RuleSet, Rule, Tally
for names in (["a", "b"], [1, 2], np.array([1, 2, 3, 4], np.uint64)[::2], np.array([1, 2], np.int32)):
    attribution, tally = Attribution(rule_sets=[RuleSet(version="1", rules=(Rule(model="linear"),))]), Tally()
    for at in (0, np.float32(1), [2, 3], np.array([4.0, 5.0, 6.0, 7.0])[::2]):
        attribution.touch(names, names, at, names)
    tally.apply(attribution.convert(names, names, names, np.array([9, 9]), "order", values=np.float32(1)))
    tally.apply(attribution.settle(now=10**6))
    Attribution.from_bytes(attribution.to_bytes())
for kind in (np.float64, np.float32, np.int8):
    rewards, half = np.ones(8, kind)[::2], [0.5] * 4
    for interval in ("normal", "bootstrap", "empirical_bernstein", "rare"):
        evaluation.ips(rewards, half, np.array(half * 2, np.float32)[::2], interval=interval)
    target = np.full((4, 2), 0.5, order="F")
    evaluation.dr(rewards, [0, 1, 0, 1], half, target, np.ones((4, 2), kind), interval="bootstrap")
    evaluation.arm_means([0, 1, 0, 1], rewards, 2)

for found in pkgutil.walk_packages(seedbed.__path__, "seedbed."):
    if "cli" in found.name:
        continue
    module = importlib.import_module(found.name)
    for name, value in vars(module).items():
        if name in ("uniform", "push"):  # called by kernels, which compile them with their own callers' types
            continue
        if len(getattr(value, "signatures", ())) > 1 and value.py_func.__module__ == module.__name__:
            print(found.name, name, value.signatures)
"""


@pytest.mark.slow
def test_each_kernel_has_one_signature_whatever_users_pass(tmp_path):
    """A second one would compile for a second or two, in production."""
    done = subprocess.run([sys.executable, "-c", USERS], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout == ""
