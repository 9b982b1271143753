"""The market beside published aggregates."""

import math

import pytest

from seedbed.allocators.market import MarketConfig, Row, calibration


@pytest.fixture(scope="module")
def rows():
    """Half of the usual size: the same density."""
    return calibration(MarketConfig(rooms_per_day=10_000, exposures_per_day=5_000_000), seed=1)


def test_simulated_figures_are_the_published_ones(rows):
    for row in rows:
        assert row.is_inside or (math.isnan(row.simulated) and row.note.startswith("not in the market")), row
    assert sum(row.is_inside for row in rows) == 29
    assert len({row.quantity for row in rows}) == len(rows)


def test_each_row_says_whence_and_how_near(rows):
    for row in rows:
        assert any(name in row.source for name in ("KuaiLive", "KuaiRand", "Twitch"))
        assert any(word in row.source for word in ("heavy users", "short videos", "another platform"))
        assert row.tolerance <= 0.12


def test_a_row_outside_is_told():
    assert Row("x", (1.0, 2.0), 2.1, 0.1, "").is_inside
    assert not Row("x", (1.0, 2.0), 2.3, 0.1, "").is_inside
    assert not Row("x", (1.0, 2.0), 0.8, 0.1, "").is_inside
    assert not Row("x", (1.0, 1.0), math.nan, 0.1, "").is_inside
