"""Measures, by hand and against plain loops."""

import dataclasses
import math
import statistics

import numpy as np
import pytest
from allocators.market.policies_for_tests import SMALL, Climber, uniform

from seedbed.allocators.market import METRICS, Truth, cumulative, exposure_by_decile, gini, measures, play


@pytest.fixture(scope="module")
def run():
    return play(uniform, SMALL, 2, 120, start_hour=19.0)


def test_by_hand(run):
    """Four rooms in two minutes; the third opened too late, the fourth got nothing."""
    flags = lambda *values: np.array(values, bool)  # noqa: E731
    counts = np.zeros((10, 4))
    counts[0] = [600, 60, 20, 0]
    counts[2] = [60, 3, 5, 0]
    by_minute = np.zeros((10, 2))
    by_minute[0] = [300, 380]
    by_minute[2] = [34, 34]
    truth = Truth(
        np.full(4, 0.2), np.array([0.1, 0.01, 0.05, 0.2]), np.full(4, 0.001), flags(0, 1, 0, 0), flags(0, 1, 0, 0),
        np.array([9, 0, 5, 9]),
    )  # fmt: skip
    small = dataclasses.replace(
        run, counts=counts, by_minute=by_minute, truth=truth, offered=np.array([400, 400]), n_open=np.array([3, 4]),
        seen=np.array([0.0, 0.0, 60.0, 0.0]), closes=np.array([900.0, 120.0, 900.0, 120.0]), milestones=(60,),
        reached=np.array([[60.0, 120.0, np.nan, np.nan]]), low=np.array([30, 30]), harmful=np.array([30, 30]),
        facts=dataclasses.replace(run.facts, opened=np.array([-30.0, 0.0, 30.0, 0.0])),
    )  # fmt: skip
    found = measures(small, patience=120.0, graduated=flags(1, 0, 0, 0), stopped=flags(0, 1, 0, 1))
    expected = {
        "retained": 68 / 680,
        "used": 680 / 800,
        "guaranteed": 2 / 3,
        "guaranteed_new": 1 / 2,
        "in_time": 1 / 2,
        "covered": 2 / 3,
        "low_quality": 60 / 680,
        "harmful": 60 / 680,
        "best_decile": 600 / 680,
        "minutes_to_60": 1.5,
        "discovered": 0.5,
        "graduated": 1 / 3,
        "graduate_cost": 80.0,
        "stopped": 2 / 3,
        "false_kills": 0.5,
        "gini": (-3 * 0 - 1 * 20 + 1 * 60 + 3 * 600) / (4 * 680),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name
    harmful = dataclasses.replace(small, truth=truth._replace(is_harmful=flags(0, 1, 0, 1)))
    assert measures(harmful, patience=120.0, stopped=flags(0, 1, 0, 1))["false_kills"] == 0.0  # a good stop
    quota = measures(small, patience=120.0, guarantee=[601, 60, 0, 0])
    assert quota["guaranteed"] == pytest.approx(2 / 3)
    np.testing.assert_allclose(exposure_by_decile(small), np.array([60, 0, 0, 0, 0, 20, 0, 0, 0, 600]) / 680)
    assert cumulative(small).tolist() == [34.0, 68.0]
    none = measures(dataclasses.replace(small, by_minute=np.zeros((10, 2))), patience=1e9)
    assert math.isnan(none["retained"])
    assert math.isnan(none["guaranteed"])


def test_gini_is_the_mean_difference():
    values = np.random.default_rng(3).lognormal(size=60)
    pairs = statistics.fmean(abs(a - b) for a in values for b in values)
    assert gini(values) == pytest.approx(pairs / (2.0 * values.mean()))
    assert math.isnan(gini([0.0, 0.0]))


def test_of_a_run(run):
    found = run.measures()
    n = run.counts[0].sum()
    for name, row in (("clicks", 1), ("retained", 2), ("comments", 3), ("follows", 4), ("negative", 5), ("watched", 6)):
        assert found[name] == pytest.approx(run.counts[row].sum() / n), name
    assert found["revenue"] == pytest.approx(run.counts[9].sum() / n)
    low = sum(n for n, flag in zip(run.counts[0], run.truth.is_low, strict=True) if flag)
    assert found["low_quality"] == pytest.approx(low / n)
    assert found["used"] == 1.0
    assert exposure_by_decile(run).sum() == pytest.approx(1.0)
    assert found["best_decile"] == pytest.approx(exposure_by_decile(run)[9])
    assert cumulative(run, "clicks")[-1] == pytest.approx(run.counts[1].sum())
    assert "graduated" not in found
    assert "false_kills" not in found


def test_concentration_shows():
    one, two = (play(p, SMALL, 2, 60, start_hour=19.0).measures() for p in (uniform, Climber()))
    assert two["gini"] > one["gini"]
    assert two["minutes_to_60"] > one["minutes_to_60"]


def test_what_is_refused(run):
    with pytest.raises(ValueError, match="graduated must have one entry for each"):
        measures(run, graduated=[True])
    with pytest.raises(ValueError, match="guarantee must have one entry"):
        measures(run, guarantee=[60, 60])
    with pytest.raises(ValueError, match=f"unknown metric 'likes': one of {METRICS[0]}"):
        cumulative(run, "likes")
