"""What replicas lease of one budget, together."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from seedbed.storage import Leases, MemoryStore, SQLiteStore, StoreError


def test_no_interleaving_overspends(tmp_path):
    """Eight threads, each with a store of its own on one file, take, spend and give back."""
    limit, spent = 500, []

    def live(i):
        rng = np.random.Generator(np.random.PCG64(i))
        leases, used = Leases(SQLiteStore(tmp_path / "state.db", timeout=60.0), "budget", limit=limit), 0
        for _ in range(30):
            granted = leases.take(f"eu-{i}", int(rng.integers(1, 20)), now=0.0)
            unused = int(rng.integers(0, granted + 1))
            leases.give_back(f"eu-{i}", unused, now=0.0)
            used += granted - unused
        return used

    with ThreadPoolExecutor(8) as pool:
        spent = list(pool.map(live, range(8)))
    leases = Leases(SQLiteStore(tmp_path / "state.db"), "budget", limit=limit)
    assert leases.leased(now=0.0) == {f"eu-{i}": used for i, used in enumerate(spent) if used}
    left = leases.take("last", 10**6, now=0.0)
    assert sum(spent) + left == limit
    assert leases.take("last", 1, now=0.0) == 0


def test_a_window_starts_afresh():
    leases = Leases(MemoryStore(), "budget", limit=10, window=60.0)
    assert leases.take("a", 10, now=59.0) == 10
    assert leases.take("b", 10, now=59.9) == 0
    assert leases.take("b", 7, now=60.0) == 7
    with pytest.raises(ValueError, match="which is over"):
        leases.take("a", 1, now=59.0)
    with pytest.raises(ValueError, match="gives back 1 and has leased 0"):
        leases.give_back("a", 1, now=61.0)
    assert leases.leased(now=61.0) == {"b": 7}
    assert leases.leased(now=120.0) == {}


def test_bad_input_changes_nothing():
    store = MemoryStore()
    leases = Leases(store, "budget", limit=10)
    leases.take("a", 4, now=0.0)
    before = store.get("budget")
    for amount in (-1, 1.5, True, 2**60):
        with pytest.raises(ValueError, match="count of units"):
            leases.take("a", amount, now=0.0)
        with pytest.raises(ValueError, match="count of units"):
            leases.give_back("a", amount, now=0.0)
    with pytest.raises(ValueError, match="has leased 4"):
        leases.give_back("a", 5, now=0.0)
    assert store.get("budget") == before
    for limit, window in ((-1, None), (1, 0.0), (1, float("inf"))):
        with pytest.raises(ValueError, match=r"count of units|positive number"):
            Leases(store, "budget", limit=limit, window=window)
    store.put("budget", b"[]")
    with pytest.raises(StoreError, match="holds no leases"):
        leases.take("a", 1, now=0.0)
