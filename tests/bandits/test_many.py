"""Many requests a call, and many threads: as a loop of single calls, and nothing lost or torn."""

import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
from checks import run_together, vars_of

from seedbed.bandits import UCB1, Bandit, Beta, LinUCB, Thompson, _checkpointing, _deciding, _many
from seedbed.bandits._table import FIRST
from seedbed.bandits.models import GammaPoisson, Gaussian, HybridLinear, Linear, SharedLinear

MODELS = [
    *(kind(half_life=60.0) for kind in (Beta, Gaussian, GammaPoisson)),
    *(kind(n_features=2, half_life=60.0) for kind in (Linear, SharedLinear)),
    HybridLinear(n_features=2, n_shared=1),
]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda m: m.kind)


@pytest.fixture(autouse=True)
def switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def context_of(model, count=None):
    rng = np.random.Generator(np.random.PCG64(3))
    return rng.normal(size=(count, model.width) if count else model.width) if model.is_contextual else None


def keywords(name, value):
    return {} if value is None else {name: value}


@each_model
def test_many_requests_at_a_time_leave_what_a_loop_leaves(model):
    """The clock too: what follows, without times of its own, is the same."""
    loop, many = (Bandit(Thompson(model=model), range(5), seed=3) for _ in range(2))
    rows = context_of(model, 4)
    for bandit in (loop, many):
        bandit.update([0, 1], [1.0, 0.5], at=0.0, **keywords("context", None if rows is None else rows[:2]))
    for now in (50.0, 100.0, 130.0):
        one = [loop.select(k=2, now=now, **keywords("context", None if rows is None else rows[i])) for i in range(4)]
        decisions = many.select_many(k=2, n=4, now=now, **keywords("contexts", rows))
        assert [vars_of(d) for d in decisions] == [vars_of(d) for d in one]
        for bandit in (loop, many):
            bandit.update(2, 1.0, **keywords("context", None if rows is None else rows[0]))
    assert many.to_bytes() == loop.to_bytes()


@each_model
def test_a_bad_request_among_many_leaves_all_undecided(model):
    bandit = Bandit(Thompson(model=model), range(5), seed=3)
    good = keywords("contexts", context_of(model, 2))
    bandit.select_many([[0, 1], [2, 3]], now=10.0, **good)
    before = bandit.to_bytes()
    cases = [
        {"candidates": [[0, 1], [2, "x"]], **good},
        {"candidates": [[0, 1], [2, 2]], **good},
        {"candidates": [[0, 1], []], **good},
        {"candidates": [[0, 1], "23"], **good},
        {"candidates": [[0, 1], [2]], "k": 2, **good},
        {"candidates": [[0, 1], [2, 3]], "n": 3, **good},
        {"candidates": [[0, 1], [2, 3]], "now": 9.0, **good},
        {"candidates": [[0, 1], [2, 3]], "contexts": [[1.0, 2.0, 3.0, 4.0]] * 2},
        {"candidates": [[0, 1], [2, 3]], "contexts": [[[1.0] * 3, [1.0]], [1.0] * 3]},
        {"candidates": [[0, 1], [2, 3]], "contexts": [[float("nan")] * 3] * 2},
    ]
    for case in cases:
        with pytest.raises((ValueError, KeyError)):
            bandit.select_many(**case)
        assert bandit.to_bytes() == before, case


def test_requests_of_paused_arms_alone_are_empty_decisions_among_others():
    one, lists = Bandit(Thompson(), range(4), seed=1), [[0], [0, 1], [2, 0, 3]]
    one.pause_arms([0])
    many = Bandit.from_bytes(one.to_bytes())
    single = [one.select(ids) for ids in lists]
    assert [vars_of(d) for d in many.select_many(lists)] == [vars_of(d) for d in single]
    assert [d.dropped for d in single] == [{"paused": 1}] * 3


@pytest.mark.parametrize(("paused", "then"), [("a", []), ("d", ["a"])])
def test_contexts_stay_with_their_arms_where_a_pause_comes_between(monkeypatch, paused, then):
    """Another thread may pause or resume between any two steps of a decision."""
    bandit = Bandit(LinUCB(model=Linear(n_features=1), alpha=0.0), list("abcd"))
    bandit.update(list("abcd"), [1.0] * 4, context=np.ones((4, 1)), weight=1e9)
    bandit.pause_arms([paused])
    original = getattr(_deciding, "_kept", None)

    def interrupted(*arguments):
        bandit.resume_arms([paused])
        bandit.pause_arms(then)
        return original(*arguments)

    monkeypatch.setattr(_deciding, "_kept", interrupted, raising=False)
    decision = bandit.select(context=[[10.0], [20.0], [30.0], [40.0]], k=3)
    wanted = dict(zip("abcd", (10.0, 20.0, 30.0, 40.0), strict=True))
    np.testing.assert_allclose(decision.scores, [wanted[arm] for arm in decision.arms], rtol=1e-6)


@pytest.mark.parametrize("policy", [Thompson(), UCB1(), LinUCB(model=MODELS[3]), Thompson(model=MODELS[3])])
@pytest.mark.parametrize("meanwhile", ["update", "retire"])
def test_propensities_are_those_of_the_decision_whatever_comes_between(monkeypatch, policy, meanwhile):
    bandit, context = Bandit(policy, ["a", "b", "c"], seed=2), keywords("context", context_of(policy.model))
    bandit.update("a", 0.5, **context)
    wanted = Bandit.from_bytes(bandit.to_bytes()).select(propensities=True, **context)
    original = _deciding.inclusion

    def interrupted(*arguments):
        if meanwhile == "update":
            bandit.update("b", 1.0, weight=9.0, **context)
        else:
            bandit.retire_arms(["c"])
        return original(*arguments)

    monkeypatch.setattr(_deciding, "inclusion", interrupted)
    decision = bandit.select(propensities=True, **context)
    assert (decision.arms, decision.propensities) == (wanted.arms, wanted.propensities)


def test_a_checkpoint_beside_updates_holds_the_window_of_its_moment(monkeypatch):
    """An update of another thread may come between any two kernels."""
    bandit = Bandit(Thompson(model=Beta(window=8)), range(3))
    bandit.update([0] * 8, [1.0] * 8)
    original = _checkpointing.snapshot

    def interrupted(*arguments):
        original(*arguments)
        bandit.update(1, 1.0)

    monkeypatch.setattr(_checkpointing, "snapshot", interrupted)
    twin = Bandit.from_bytes(bandit.to_bytes())
    in_window = [twin._ring[2][twin._ring[0] == arm].sum() for arm in range(3)]
    assert twin.evidence([0, 1, 2])[0].tolist() == [float(total > 0) for total in in_window]
    assert twin.evidence([0, 1, 2])[1].tolist() == in_window


def test_the_private_copy_of_linear_arms_is_never_torn():
    """In each copied block the inverse is that of ridge and evidence: the two were read at one moment."""
    d, arms = 32, 1_500
    bandit = Bandit(LinUCB(model=Linear(n_features=d)), range(arms))
    contexts = np.random.Generator(np.random.PCG64(1)).normal(size=(64, d))
    bandit.update(0, 1.0, context=contexts[0])
    stop, lower, packed = threading.Event(), np.tril_indices(d), d * (d + 1) // 2
    busy = arms // 2

    def square(numbers):
        full = np.zeros((d, d))
        full[lower] = numbers
        return full + np.tril(full, -1).T

    def update(worker):
        i = worker
        while not stop.is_set():
            bandit.update(busy, 1.0, context=contexts[i % 64])
            i += 1

    def copy():
        used = bandit.rows(range(arms))
        requests = _many._Requests([], 1, used, np.arange(arms), used[:0], used[:0], 0.0)
        try:
            for _ in range(150):
                with bandit._lock:
                    rows = _many._Rows(contexts[:1], used[:0], used[:0])
                    block = _many._private(bandit, requests, float("nan"), rows).blocks[busy]
                matrix, inverse = np.eye(d) + square(block[:packed]), square(block[packed : 2 * packed])
                np.testing.assert_allclose(matrix @ inverse, np.eye(d), atol=1e-6)
        finally:
            stop.set()

    run_together(copy, lambda: update(0), lambda: update(7))


@pytest.mark.parametrize(
    ("model", "each", "largest"),
    [(Beta(), 100_000, 100_000), (Linear(n_features=4), 10_000, 10_000)],
    ids=["beta", "linear"],
)
def test_eight_threads_lose_no_update_while_arms_grow(model, each, largest):
    """Singles by id, batches by ids and by rows, on the ten first arms; decisions beside them never fail."""
    bandit, x = Bandit(Thompson(model=model), range(10), seed=1), np.array([1.0, 0.5, -0.5, 0.25])
    one, batch = ({"context": x}, {"context": np.tile(x, (500, 1))}) if model.is_contextual else ({}, {})
    rows, ids = np.tile(bandit.rows(range(10)), 50), list(range(10)) * 50
    many = {"contexts": np.tile(x, (3, 1))} if model.is_contextual else {"n": 3}
    working = threading.Barrier(10)
    left = [8]

    def singles(reward):
        working.wait()
        for i in range(each):
            bandit.update(i % 10, reward, **one)
        left[0] -= 1

    def batches(by_rows):
        working.wait()
        for _ in range(each // 500):
            if by_rows:
                bandit.update_rows(rows, np.ones(500), **batch)
            else:
                bandit.update(ids, [1.0] * 500, **batch)
        left[0] -= 1

    def grow():
        working.wait()
        steps = np.unique(np.geomspace(10, largest, 40).astype(int)).tolist()
        for start, stop in pairwise(steps):
            bandit.add_arms(range(start, stop))

    def decide():
        working.wait()
        while left[0] > 0:
            assert bandit.select(**one).arms
            assert set(bandit.select(range(10), k=3, **one).arms) <= set(range(10))
            assert all(decision.arms for decision in bandit.select_many(**many))

    jobs = [lambda r=float(i % 2): singles(r) for i in range(4)]
    jobs += [lambda r=bool(i % 2): batches(r) for i in range(4)]
    run_together(*jobs, grow, decide)
    assert (len(bandit), bandit.updates) == (largest, 8 * each)
    columns = bandit.rows(range(10)) & 0xFFFF_FFFF
    if model.is_contextual:  # the first entry of each block: the weight, as x_0 is 1
        assert bandit._state.blocks[columns, 0].tolist() == [8 * each / 10] * 10
        assert bandit._state.blocks[columns, 20].tolist() == [6 * each / 10] * 10  # and of the moments: the rewards
        assert not bandit._state.blocks[10:largest, 0].any()
    else:
        counts = bandit._table[FIRST + 2 : FIRST + 4, columns]
        assert counts.tolist() == [[6 * each / 10] * 10, [2 * each / 10] * 10]
        assert not bandit._table[FIRST + 2 : FIRST + 4, 10:largest].any()
