"""SIGKILL while attributing, and what came since delivered again: a small part of benchmarks/redelivering.py."""

import pytest
import redelivering


def test_a_tally_after_kills_is_that_of_a_calm_run():
    found = redelivering.rows(3, seed=2, steps=400, timed=False)
    total = sum(found.values(), start=redelivering.Counter())
    assert total["kills"] == 3
    assert total["conversions"] > 1_000
    assert total["corrections"] > 100
    assert total["resumed in the middle"] > 0
    assert total["told twice"] > 0
    assert not total["other tallies"] + total["other attributions"]


def test_a_tally_that_forgets_differs(monkeypatch):
    """The comparison sees it where what was told before is told again."""
    monkeypatch.setattr(redelivering.Tally, "from_bytes", classmethod(lambda cls, blob: cls()))
    with pytest.raises(SystemExit):
        redelivering.report(3, seed=2, steps=400, timed=False)
