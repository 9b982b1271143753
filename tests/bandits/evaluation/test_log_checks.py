"""What no estimator takes: each error names the row and what is wrong with it."""

import dataclasses
import math

import numpy as np
import pytest

from seedbed.bandits import evaluation

N, K = 6, 3


def good():
    """A log that all estimators take."""
    rng = np.random.default_rng(1)
    return {
        "rewards": rng.random(N),
        "action": np.arange(N) % K,
        "propensities": np.full(N, 0.5),
        "target": np.full((N, K), 1 / K),
        "estimated_rewards": rng.random((N, K)),
    }


def run(name, log, **options):
    """An estimate of the log."""
    if name in ("ips", "snips"):
        chosen = log.get("target_propensities", np.full(N, 1 / K))
        return getattr(evaluation, name)(log["rewards"], log["propensities"], chosen, **options)
    if name == "dm":
        return evaluation.dm(log["target"], log["estimated_rewards"], **options)
    return getattr(evaluation, name)(**log, **options)


def changed(array, where, value):
    """A copy with one entry changed."""
    copy = np.array(array, dtype=object if value is None else None)
    copy[where] = value
    return copy


WEIGHTED = ("ips", "snips")
ROBUST = ("dr", "sndr", "switch_dr", "dr_os")
PROPENSITIES = [
    (math.nan, r"propensities\[2\] = nan is missing"),
    (None, r"propensities\[2\] = None is missing"),
    (0.0, r"propensities\[2\] = 0.0 is not in \(0, 1\]"),
    (-0.1, r"propensities\[2\] = -0.1 is not in \(0, 1\]"),
    (1.1, r"propensities\[2\] = 1.1 is not in \(0, 1\]"),
    (math.inf, r"propensities\[2\] = inf is not finite"),
]


@pytest.mark.parametrize(("value", "message"), PROPENSITIES)
@pytest.mark.parametrize("name", WEIGHTED + ROBUST)
def test_propensities(name, value, message):
    log = good()
    log["propensities"] = changed(log["propensities"], 2, value)
    with pytest.raises(ValueError, match=message):
        run(name, log)
    if name == "ips":
        with pytest.raises(ValueError, match=message):
            evaluation.overlap(log["propensities"], np.full(N, 1 / K))


def test_propensities_that_are_not_there_at_all():
    with pytest.raises(ValueError, match="propensities are missing"):
        evaluation.ips([1.0], None, [1.0])
    with pytest.raises(ValueError, match=r"propensities\[1\] is missing \(masked\)"):
        evaluation.ips([1.0, 1.0], np.ma.masked_array([0.5, 0.5], [False, True]), [1.0, 1.0])
    with pytest.raises(ValueError, match="propensities must be numbers"):
        evaluation.ips([1.0], ["0.5"], [1.0])


@pytest.mark.parametrize("value", (math.nan, math.inf, -math.inf, None))
@pytest.mark.parametrize("name", WEIGHTED + ROBUST)
def test_rewards(name, value):
    log = good()
    log["rewards"] = changed(log["rewards"], 4, value)
    with pytest.raises(ValueError, match=r"rewards\[4\] = "):
        run(name, log)


@pytest.mark.parametrize("value", (-1e-9, 1.1, math.nan))
def test_target_propensities(value):
    log = {**good(), "target_propensities": changed(np.full(N, 0.2), 3, value)}
    with pytest.raises(ValueError, match=r"target_propensities\[3\] = "):
        run("snips", log)


@pytest.mark.parametrize("name", ("dm", *ROBUST))
def test_target_and_model(name):
    for row, message in (
        ([0.5, 0.5, 0.1], r"target\[5\] sums to 1.1, not to 1"),
        ([0.5, 0.5, 2e-6], r"target\[5\] sums to 1.00000"),
        ([0.7, 0.5, -0.2], r"target\[5, 2\] = -0.2 is negative"),
        ([math.nan, 0.5, 0.5], r"target\[5, 0\] = nan is missing"),
    ):
        log = good()
        log["target"][5] = row
        with pytest.raises(ValueError, match=message):
            run(name, log)
    log = good()
    log["target"][5] += 2e-7  # rounding passes
    run(name, log)
    log["estimated_rewards"][1, 2] = math.inf
    with pytest.raises(ValueError, match=r"estimated_rewards\[1, 2\] = inf is not finite"):
        run(name, log)


@pytest.mark.parametrize("name", ROBUST)
def test_actions(name):
    for action, message in (
        (changed(good()["action"], 3, -1), r"action\[3\] = -1 is not in \[0, 3\)"),
        (changed(good()["action"], 3, 3), r"action\[3\] = 3 is not in \[0, 3\)"),
        (good()["action"] * 1.0, "action must be integers"),
        (good()["action"][:-1], r"action must have shape \(6,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            run(name, {**good(), "action": action})


@pytest.mark.parametrize("name", ("dm", *WEIGHTED, *ROBUST))
def test_shapes(name):
    used = {"dm": ("target", "estimated_rewards"), "ips": ("rewards", "propensities")}
    for what in used.get("ips" if name in WEIGHTED else name, tuple(good())):
        for bad in (good()[what][:-1], good()[what][None], good()[what][..., None], good()[what].ravel()[:2]):
            with pytest.raises(ValueError, match=r"must have (one entry|shape)"):
                run(name, {**good(), what: bad})
    with pytest.raises(ValueError, match=r"has no rows|nothing to evaluate"):
        run(name, {what: array[:0] for what, array in good().items()})
    with pytest.raises(ValueError, match="shape"):
        run(name, {**good(), "rewards": 1.0, "target": 1.0})


@pytest.mark.parametrize("name", ("dm", *WEIGHTED, *ROBUST))
def test_options(name):
    for options, message in (
        ({"level": 0.0}, "level must be in"),
        ({"level": 1.0}, "level must be in"),
        ({"level": math.nan}, "level must be in"),
        ({"level": "95"}, "level = '95' is not a number"),
        ({"interval": "exact"}, "interval = 'exact' is none of auto, normal"),
        ({"min_ess": -1.0}, "min_ess must be at least 0"),
        ({"min_ess": math.nan}, "min_ess must be at least 0"),
        ({"seed": 0.5}, "seed = 0.5 is not an integer"),
        ({"reward_range": (1.0, 0.0)}, "the least first"),
        ({"reward_range": 1.0}, "is not a pair"),
        ({"reward_range": (0.0, math.inf)}, "two finite numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            run(name, good(), **options)
    with pytest.raises(TypeError, match="unexpected keyword argument 'levels'; there are level"):
        run(name, good(), levels=0.9)


@pytest.mark.parametrize(
    ("name", "what", "bad"),
    [
        *[(name, "clip", bad) for name in (*WEIGHTED, *ROBUST) for bad in (0.0, -1.0, math.nan, "2")],
        *[("switch_dr", "tau", bad) for bad in (-1e-9, math.nan)],
        *[("dr_os", "lambda_", bad) for bad in (-1e-9, math.nan)],
    ],
)
def test_limits_of_weights(name, what, bad):
    with pytest.raises(ValueError, match=rf"{what} (must be|= '2' is not)"):
        run(name, good(), **{what: bad})


@pytest.mark.parametrize("name", WEIGHTED + ROBUST)
def test_the_bernstein_bound_needs_its_range(name):
    log = good()
    log["rewards"] = log["rewards"] + 1.0
    with pytest.raises(ValueError, match=r"rewards\[0\] = .* is not in \[0, 1\]: pass `reward_range`"):
        run(name, log, interval="empirical_bernstein")


def test_inputs_are_left_alone_and_may_be_of_any_layout():
    log = good()
    kept = {what: array.copy() for what, array in log.items()}
    e = run("dr", log, interval="bootstrap")
    for what, array in log.items():
        np.testing.assert_array_equal(array, kept[what])
    log["target"], log["estimated_rewards"] = (np.asfortranarray(log[x]) for x in ("target", "estimated_rewards"))
    log["propensities"] = np.repeat(log["propensities"], 2)[::2].astype(np.float32)
    log["rewards"], log["action"] = log["rewards"].tolist(), log["action"].astype(np.uint8)
    assert dataclasses.astuple(run("dr", log, interval="bootstrap")) == pytest.approx(dataclasses.astuple(e))
