import json

import numpy as np
import pytest
from scipy.special import expit

from seedbed.allocators.cold_start import (
    Atoms,
    Fitting,
    Gate,
    History,
    InsufficientError,
    fit_npmle,
    fit_rules,
    read_rules,
    write_rules,
)

FEW = Fitting(resamples=40, least_rooms=100, least_creators=30)


def history(seed=0, sizes=(("a/x", 300), ("a/y", 250), ("b", 200), ("a/z", 20)), **extra):
    rng = np.random.Generator(np.random.PCG64(seed))
    buckets = [name for name, rooms in sizes for _ in range(rooms)]
    creators = rng.integers(0, len(buckets) // 3, len(buckets))
    centre = {"a/x": -1.4, "a/y": -0.8, "b": -1.1, "a/z": -1.0}
    rate = expit(np.array([centre[name] for name in buckets]) + 0.4 * rng.normal(size=len(buckets)))
    n = rng.integers(60, 300, len(buckets))
    minutes = n * rng.uniform(2.0, 4.0, n.size)
    return History(
        creators.tolist(), buckets, n, rng.binomial(n, rate), follows=rng.binomial(n, 0.2 * rate),
        comments=2.0 * rng.poisson(minutes * 0.1 * rate), minutes=minutes, dispersion=2.0,
    )  # fmt: skip


HISTORY = history()


def test_every_bucket_and_those_above_get_rules():
    rules, findings = fit_rules(HISTORY, version="v1", fitting=FEW, valid_from=5.0)
    assert [finding.bucket for finding in findings] == ["", "a", "a/x", "a/y", "a/z", "b"]
    assert [finding.rooms for finding in findings] == [770, 570, 300, 250, 20, 200]
    by_name = {finding.bucket: finding for finding in findings}
    for name, finding in by_name.items():
        own = np.array([bucket == name or bucket.startswith(name + "/") or not name for bucket in HISTORY.buckets])
        assert finding.mean == pytest.approx((HISTORY.retained / HISTORY.exposures)[own].mean())
        assert finding.creators == len(set(np.array(HISTORY.creators)[own].tolist()))
        if name != "a/z":
            assert finding.low < finding.bar < finding.high
            assert (finding.flag, finding.why, finding.taken_from) == ("", "", name)
            assert rules.buckets[rules.index(name)].gates[0].bar == finding.bar
    assert by_name["a/y"].bar > by_name["a/x"].bar
    assert by_name["a/x"].mean < by_name["a/x"].shrunk_mean < by_name["a/y"].shrunk_mean < by_name["a/y"].mean
    assert (rules.version, rules.valid_from) == ("v1", 5.0)


def test_a_bucket_of_too_few_rooms_takes_its_parents_gate():
    rules, findings = fit_rules(HISTORY, version="v1", fitting=FEW)
    poor = next(finding for finding in findings if finding.bucket == "a/z")
    assert (poor.flag, poor.why, poor.taken_from) == ("INSUFFICIENT", "20 rooms, fewer than 100", "a")
    assert poor.bar is poor.low is poor.high is None
    gates = {bucket.name: bucket.gates for bucket in rules.buckets}
    assert gates["a/z"] == gates["a"]
    assert gates["a/x"] != gates["a"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"least_rooms": 800}, "770 rooms, fewer than 800"),
        ({"least_creators": 257}, "creators, fewer than 257"),
        ({"widest": 0.01}, r"the interval is \d+ % of the bar wide, more than 1 %".replace(" %", "%")),
    ],
)
def test_without_enough_in_all_there_are_no_rules(change, why):
    with pytest.raises(
        InsufficientError, match=f"do not carry a bar for retained: .*{why}; no rules were made"
    ) as caught:
        fit_rules(HISTORY, version="v1", fitting=FEW.model_copy(update=change))
    assert caught.value.findings[0].flag == "INSUFFICIENT"


def test_a_wide_interval_is_insufficient_and_the_gate_is_the_parents():
    widths = {f.bucket: (f.high - f.low) / f.bar for f in fit_rules(HISTORY, version="v", fitting=FEW)[1] if f.bar}
    widest = max(widths, key=widths.get)
    limit = sorted(widths.values())[-2]
    rules, findings = fit_rules(HISTORY, version="v1", fitting=FEW.model_copy(update={"widest": limit}))
    flagged = {f.bucket: f for f in findings if f.flag}
    assert set(flagged) == {widest, "a/z"}
    assert flagged[widest].bar is not None
    gates = {bucket.name: bucket.gates for bucket in rules.buckets}
    assert gates[widest] == gates[widest.rpartition("/")[0]]


def test_likeliest_populations_are_mixed_with_their_parents():
    """Weight of the own atoms n / (n + 200), of the parent's (already mixed) 200 / (n + 200), on one grid."""
    fitting = FEW.model_copy(update={"population": "likeliest"})
    rules, findings = fit_rules(HISTORY, version="v1", fitting=fitting)
    from seedbed.allocators.cold_start.npmle import support_grid

    grid = support_grid(HISTORY.exposures * 0 + HISTORY.retained, HISTORY.exposures, False, 199)
    expected = {}
    for finding in findings:
        rooms = HISTORY.rooms_below[finding.bucket]
        found = fit_npmle(HISTORY.retained[rooms], HISTORY.exposures[rooms], support=grid)
        own = np.zeros(199)
        own[np.searchsorted(grid, np.array(found.support) - 1e-12)] = found.weights
        if finding.bucket:
            above = expected[finding.bucket.rpartition("/")[0]]
            own = (finding.rooms * own + 200.0 * above) / (finding.rooms + 200.0)
        expected[finding.bucket] = own
        if not finding.flag:
            population = rules.buckets[rules.index(finding.bucket)].gates[0].population
            assert population.mean == pytest.approx(grid @ own, rel=1e-6)
            level = np.cumsum(own)
            for rate in (0.15, 0.25, 0.35):
                share = sum(w for p, w in zip(population.support, population.weights, strict=True) if p <= rate)
                assert share == pytest.approx(level[np.searchsorted(grid, rate, "right") - 1], abs=1e-6)


def test_several_metrics_and_their_gates():
    fitting = FEW.model_copy(update={"metrics": ("retained", "follows", "comments"), "bar": "renewal"})
    rules, findings = fit_rules(HISTORY, version="v1", fitting=fitting)
    assert len(findings) == 18
    for bucket in rules.buckets:
        retained, follows, comments = bucket.gates
        assert [gate.metric for gate in bucket.gates] == ["retained", "follows", "comments"]
        assert retained.bar > follows.bar
        assert (retained.dispersion, comments.dispersion) == (1.0, 2.0)
        assert isinstance(comments.population, Atoms)
    total = next(f for f in findings if f.metric == "comments" and f.bucket == "")
    assert total.mean == pytest.approx((HISTORY.comments / HISTORY.minutes).mean())
    gate = rules.buckets[0].gates[2]
    assert gate.probability([400.0], [1_000.0])[0] > 0.99 > 0.01 > gate.probability([1.0], [1_000.0])[0]


def test_neither_jobs_nor_the_order_of_rooms_changes_anything():
    seen = []
    rules, findings = fit_rules(HISTORY, version="v1", fitting=FEW, progress=lambda *done: seen.append(done))
    assert seen == [(i, 6) for i in range(1, 7)]
    assert fit_rules(HISTORY, version="v1", fitting=FEW, n_jobs=2) == (rules, findings)
    order = np.random.Generator(np.random.PCG64(3)).permutation(HISTORY.n_rooms).tolist()
    turned = History(
        [HISTORY.creators[i] for i in order],
        [HISTORY.buckets[i] for i in order],
        HISTORY.exposures[order],
        HISTORY.retained[order],
    )
    for one, other in zip(findings, fit_rules(turned, version="v1", fitting=FEW)[1], strict=True):
        assert (one.bucket, one.rooms, one.flag) == (other.bucket, other.rooms, other.flag)
        assert one.bar is None or (one.bar, one.low, one.high) == pytest.approx((other.bar, other.low, other.high))


def test_another_seed_gives_another_interval_and_the_same_bar():
    one, other = (fit_rules(HISTORY, version="v", fitting=FEW.model_copy(update={"seed": s}))[1][0] for s in (0, 1))
    assert one.bar == other.bar
    assert (one.low, one.high) != (other.low, other.high)


def test_the_rules_say_what_they_were_made_from(tmp_path):
    rules, findings = fit_rules(HISTORY, version="v1", fitting=FEW, made_from={"log": "rooms.csv"})
    write_rules(rules, tmp_path / "rules.json")
    again = read_rules(tmp_path / "rules.json")
    assert again.model_dump() == json.loads(rules.model_dump_json()) | {"buckets": again.model_dump()["buckets"]}
    assert again.buckets == rules.buckets
    assert again.made_from["log"] == "rooms.csv"
    assert again.made_from["fitting"]["resamples"] == 40
    assert [row["bar"] for row in again.made_from["findings"]] == [finding.bar for finding in findings]


def test_rooms_of_few_exposures_are_left_out():
    n = np.array([*HISTORY.exposures, 5.0, 19.0])
    more = History(
        [*HISTORY.creators, 1, 2], [*HISTORY.buckets, "b", "new"], n, np.append(HISTORY.retained, [5.0, 19.0])
    )
    assert fit_rules(more, version="v", fitting=FEW)[1] == fit_rules(HISTORY, version="v", fitting=FEW)[1]


@pytest.mark.slow
@pytest.mark.parametrize("world", ["beta", "two rates"])
def test_promotions_by_the_fitted_gate_are_as_false_as_they_say(world):
    """Looked at every 20 viewers, q = .10: at most .12 of the promoted below the bar, as many as the posteriors say.

    Two rates: .15 and .35 around a bar of .25. Tolerance .02, as the prior is fitted, and 5 standard errors of 6,000.
    """
    rng = np.random.Generator(np.random.PCG64(1))

    def draw(rooms):
        return rng.beta(4.76, 15.24, rooms) if world == "beta" else rng.choice([0.15, 0.35], rooms, p=[0.7, 0.3])

    bar = 0.30 if world == "beta" else 0.25
    n = rng.integers(60, 301, 5_000)
    past = History(range(5_000), [""] * 5_000, n, rng.binomial(n, draw(5_000)))
    rules, _ = fit_rules(past, version="v", fitting=FEW)
    gate = Gate(metric="retained", bar=bar, population=rules.buckets[0].gates[0].population)
    rates = draw(6_000)
    events = rng.binomial(20, rates[:, None], (6_000, 30)).cumsum(axis=1)
    looks = [gate.probability(events[:, j], np.full(6_000, 20.0 * (j + 1))) for j in range(30)]
    chance = np.stack(looks, axis=1)
    hit = chance >= 0.9
    promoted = hit.any(axis=1)
    said = 1.0 - chance[promoted, hit.argmax(axis=1)[promoted]].mean()
    false = (rates[promoted] <= bar).mean()
    error = np.sqrt(0.1 * 0.9 / promoted.sum())
    assert promoted.sum() > 600
    assert false <= 0.12 + 5 * error
    assert abs(false - said) <= 0.02 + 5 * error


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"metrics": ("follows",)}, "'retained' first"),
        ({"metrics": ("retained", "retained")}, "each once"),
        ({"seed_length": 300.0, "remaining": 300.0}, "remaining = 300 must be above seed_length = 300"),
        ({"quantile": 1.0}, "less than 1"),
    ],
)
def test_bad_numbers(options, text):
    with pytest.raises(ValueError, match=text):
        Fitting(**options)


def test_missing_counts_are_named():
    bare = History(HISTORY.creators, HISTORY.buckets, HISTORY.exposures, HISTORY.retained)
    with pytest.raises(ValueError, match="no column of watched"):
        fit_rules(bare, version="v", fitting=FEW.model_copy(update={"metrics": ("retained", "watched")}))
    with pytest.raises(ValueError, match="no room of 1000 exposures or more to fit retained from"):
        fit_rules(bare, version="v", fitting=FEW.model_copy(update={"least_exposures": 1_000}))
