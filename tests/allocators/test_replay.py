import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.allocators.replay import Queues, Replay, oracle_allocation, uniform_allocation
from seedbed.bandits import CheckpointError

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=8)


@given(LENGTHS, st.integers(0, 300))
def test_uniform_allocation_equals_taking_turns(lengths, total):
    given_ = uniform_allocation(np.array(lengths), total)
    assert given_.tolist() == naive.round_robin(lengths, total)


@given(LENGTHS, st.integers(0, 300))
def test_oracle_allocation_fills_the_best_first(lengths, total):
    rates = np.linspace(1, 0, len(lengths))
    given_ = oracle_allocation(rates, np.array(lengths), total)
    left = total
    for length, got in zip(lengths, given_, strict=True):
        assert got == min(length, left)
        left -= got


def test_queues_keep_the_order_of_rows():
    queues = Queues.from_rows(["b", "a", "b", "b", "a"], [1, 0, 0, 1, 1], [0, 1, 0, 0, 0])
    assert queues.items == ["b", "a"]
    assert queues.lengths.tolist() == [3, 2]
    rewards, negatives = queues.between(np.array([0, 0]), np.array([1, 1]))
    assert (rewards.tolist(), negatives.tolist()) == ([1, 0], [0, 1])
    rewards, negatives = queues.between(np.array([1, 1]), np.array([3, 2]))
    assert (rewards.tolist(), negatives.tolist()) == ([1, 1], [0, 0])
    assert queues.rewards_of(np.array([2, 2])) == 2


def test_urns_hold_what_was_counted_in_an_order_of_their_seed():
    queues = Queues.from_counts(["a", "b", "c"], [5, 0, 7], [95, 10, 0], seed=3)
    assert queues.lengths.tolist() == [100, 10, 7]
    assert queues.rates.tolist() == [0.05, 0.0, 1.0]
    again, other = (Queues.from_counts(["a", "b", "c"], [5, 0, 7], [95, 10, 0], seed=s) for s in (3, 4))
    np.testing.assert_array_equal(queues._rewards, again._rewards)
    assert (queues._rewards != other._rewards).any()


def test_urns_are_shuffled_evenly():
    """The share of successes in the first half of 400 urns of 50 + 50: mean 25, variance 100 / 16 x 100 / 99."""
    seeds = range(400)
    first = [Queues.from_counts(["a"], [50], [50], seed=s).rewards_of(np.array([50])) for s in seeds]
    error = np.sqrt(50 * 0.25 * 50 / 99 / len(first))
    assert abs(np.mean(first) - 25) < 5 * error


def replayed(seed=0, budget=2_000, ticks=None, negatives=False):
    rng = np.random.Generator(np.random.PCG64(1))
    items = rng.integers(0, 10, 6_000).astype(str).tolist()
    rewards = (rng.random(6_000) < np.array([int(i) for i in items]) / 20).astype(int)
    harm = (rng.random(6_000) < np.where(np.array(items) == "9", 0.2, 0.0)).astype(int) if negatives else None
    queues = Queues.from_rows(items, rewards, harm)
    config = ColdStartConfig(budget={"limit": budget}, bar=0.3, scale_cap=None)
    replay = Replay(ColdStartAllocator(config, seed=seed), queues, tick_exposures=150)
    while not replay.is_over and replay.ticks != ticks:
        replay.step()
    return replay, queues


def test_a_replay_spends_its_budget_and_reads_each_row_once():
    replay, queues = replayed()
    assert replay.taken.sum() == 2_000
    assert (replay.taken <= queues.lengths).all()
    rewards, _ = queues.between(np.zeros_like(replay.taken), replay.taken)
    np.testing.assert_array_equal(rewards, replay.rewards)
    assert replay.rewards.sum() > queues.rewards_of(uniform_allocation(queues.lengths, 2_000))


def test_a_log_that_is_used_up_closes_its_items_and_gives_the_rest_back():
    replay, queues = replayed(budget=6_000)
    assert len(replay.allocator) < 10
    spent = replay.allocator.config.budget.spent(replay.allocator._spending)
    assert spent == replay.taken.sum()
    assert (replay.taken == queues.lengths).any()


def test_negative_feedback_stops_an_item():
    replay, _ = replayed(negatives=True)
    assert replay.stages[replay.queues.items.index("9")] == 3


@pytest.mark.parametrize("ticks", [1, 7, 20])
def test_a_resumed_replay_ends_identically(ticks):
    whole, queues = replayed()
    part, _ = replayed(ticks=ticks)
    resumed, values = Replay.from_bytes(part.to_bytes(mark="x"), queues)
    assert values["mark"] == "x"
    while not resumed.is_over:
        resumed.step()
    assert resumed.to_bytes() == whole.to_bytes()


def test_a_checkpoint_of_another_log_is_refused():
    replay, _ = replayed(ticks=5)
    other = Queues.from_counts([str(i) for i in range(10)], [5] * 10, [995] * 10, seed=0)
    with pytest.raises(CheckpointError, match="another log"):
        Replay.from_bytes(replay.to_bytes(), other)
    with pytest.raises(CheckpointError):
        Replay.from_bytes(replay.to_bytes()[:-1], other)


def test_rewards_must_be_bits():
    with pytest.raises(ValueError, match="0 or 1"):
        Queues.from_rows(["a"], [0.5])


@pytest.mark.slow
def test_production_counts_earn_more_than_uniform_allocation():
    """The main job: 300,000 exposures over the 80 items; prior and bar from the women's table; 20 seeds, paired."""
    items = np.loadtxt("examples/data/open-bandit-counts-all.csv", delimiter=",", skiprows=1, dtype=np.int64)
    women = np.loadtxt("examples/data/open-bandit-counts-women.csv", delimiter=",", skiprows=1, dtype=np.int64)
    config = ColdStartConfig.feed(budget={"limit": 300_000}).fitted(women[:, 1], women[:, 1] + women[:, 2])
    uplifts, promoted = [], []
    for seed in range(20):
        queues = Queues.from_counts([str(i) for i in items[:, 0]], items[:, 1], items[:, 2], seed)
        replay = Replay(ColdStartAllocator(config, seed=seed), queues, tick_exposures=1_000)
        names = set()
        while not replay.is_over:
            names |= {change.room for change in replay.step().plan.changes if change.reason == "PROMOTED"}
        uniform = uniform_allocation(queues.lengths, 300_000)
        assert replay.taken.sum() == 300_000
        assert (uniform == queues.lengths).sum() == 22
        uplifts.append(replay.rewards.sum() / queues.rewards_of(uniform) - 1)
        promoted.append(len(names))
    low = np.mean(uplifts) - 2.093 * np.std(uplifts, ddof=1) / np.sqrt(20)
    assert low >= 0.10
    assert 3 <= np.mean(promoted) <= 7
    oracle = oracle_allocation(queues.rates, queues.lengths, 300_000)
    assert queues.rates @ oracle / (queues.rates @ uniform) - 1 == pytest.approx(0.49, abs=0.005)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Queues.from_counts(["a", "z"], [5, 0], [995, 0], seed=0), "'z' has no rows"),
        (lambda: Queues.from_counts(["a"], [2.7], [1.9], seed=0), "integers"),
        (lambda: Queues.from_counts(["a"], [-1], [5], seed=0), "integers >= 0"),
        (lambda: Queues.from_rows(["a", "b"], [1, 0, 1, 1]), "2 items and 4 rewards"),
        (lambda: Queues(["a", "b"], [[1, 0]], [[0, 0]]), "one for each"),
        (lambda: Queues(["a", "a"], [[1], [0]], [[0], [0]]), "distinct"),
        (lambda: Queues(["a"], [[1, 0]], [[0]]), "same numbers"),
    ],
)
def test_queues_refuse_what_does_not_fit(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_checkpoint_over_other_items_is_refused():
    queues = Queues.from_counts(["a", "b"], [5, 5], [95, 95], seed=0)
    replay = Replay(ColdStartAllocator(seed=0), queues, 10)
    other = Queues.from_counts(["c", "d"], [5, 5], [95, 95], seed=0)
    with pytest.raises(CheckpointError, match="another log"):
        Replay.from_bytes(replay.to_bytes(), other)
