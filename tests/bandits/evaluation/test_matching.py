import numpy as np
import pytest

from seedbed.bandits import Bandit, Decision, Linear, LinUCB, Thompson
from seedbed.bandits.evaluation.matching import replay
from seedbed.bandits.simulation import Bernoulli, simulate

MEANS = np.array([0.2, 0.5, 0.8])


def uniform_log(n, seed, means=MEANS):
    rng = np.random.default_rng(seed)
    arms = rng.integers(0, len(means), n)
    return arms, (rng.random(n) < means[arms]).astype(float)


class Recorder:
    """A chooser that notes what it was taught."""

    def __init__(self, chooser):
        self.chooser, self.taught = chooser, []

    def select(self, **named):
        return self.chooser.select(**named)

    def update(self, arm, reward, **named):
        self.taught.append((arm, reward))
        self.chooser.update(arm, reward, **named)


def test_rows_are_kept_where_the_choice_is_the_logged_arm_and_taught():
    arms, rewards = uniform_log(3_000, seed=1)
    recorder = Recorder(Bandit(Thompson(), range(3), seed=4))
    e = replay(recorder, arms, rewards, 1 / 3)
    twin, kept = Bandit(Thompson(), range(3), seed=4), []
    for arm, reward in zip(arms.tolist(), rewards.tolist(), strict=True):
        if twin.select().arms[0] == arm:
            twin.update(arm, reward)
            kept.append((arm, reward))
    assert recorder.taught == kept
    assert recorder.chooser.to_bytes() == twin.to_bytes()
    assert e.value == pytest.approx(np.mean([reward for _, reward in kept]), rel=1e-12)
    assert e.effective_sample_size == pytest.approx(len(kept), rel=1e-12)
    assert e.mean_weight == pytest.approx(3 * len(kept) / 3_000, rel=1e-12)
    assert (e.method, e.n, e.refusal) == ("replay", 3_000, None)


def test_what_is_kept_is_what_would_have_come_online():
    """The first 40 kept rewards, over 400 logs, beside 2,000 online runs of 40 steps."""
    world, steps = Bernoulli(MEANS), 40
    online = steps * MEANS.max() - simulate(Thompson(), world, steps, range(2_000)).regret
    offline = []
    for seed in range(400):
        recorder = Recorder(Bandit(Thompson(), range(3), seed=seed))
        replay(recorder, *uniform_log(240, 10_000 + seed), 1 / 3)
        offline.append(MEANS[[arm for arm, _ in recorder.taught[:steps]]].sum())
        assert len(recorder.taught) >= steps
    error = np.sqrt(np.var(offline) / 400 + np.var(online) / 2_000)
    assert abs(np.mean(offline) - np.mean(online)) < 5 * error


def test_a_fixed_policy_is_a_function_of_the_row():
    arms, rewards = uniform_log(2_000, seed=2)
    wanted = np.random.default_rng(0).integers(0, 3, 2_000)
    e = replay(lambda row: int(wanted[row]), arms, rewards, np.full(2_000, 1 / 3))
    assert e.value == pytest.approx(rewards[wanted == arms].mean(), rel=1e-12)
    assert e.effective_sample_size == pytest.approx((wanted == arms).sum(), rel=1e-12)


def skewed_log(n, seed):
    """A binary context; arm 0 is logged with the chance .8 or .4 and is as good as the context."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, 2, n)
    first = np.array([0.8, 0.4])[context]
    arms = np.where(rng.random(n) < first, 0, 1)
    rewards = (rng.random(n) < np.where(arms == 0, 0.2 + 0.6 * context, 0.5)).astype(float)
    return context, arms, rewards, np.where(arms == 0, first, 1 - first)


def test_a_log_that_is_not_uniform_is_thinned_by_its_propensities():
    values = []
    for seed in range(200):
        _, arms, rewards, propensities = skewed_log(1_000, seed)
        e = replay(lambda row: 0, arms, rewards, propensities, least_propensity=0.2)
        assert abs(e.mean_weight - 1.0) < 5 * np.sqrt(4 / 1_000)  # 200 rows of 1,000 kept, weight 5 each
        values.append(e.value)
    assert abs(np.mean(values) - 0.5) < 5 * np.std(values) / np.sqrt(200)
    # taken as uniform, the contexts in which arm 0 was likely are seen twice as often: (.8 * .2 + .4 * .8) / 1.2 = .4
    _, arms, rewards, propensities = skewed_log(20_000, 1)
    naive = replay(lambda row: 0, arms, rewards, 0.5)
    assert abs(naive.value - 0.4) < 5 * np.sqrt(0.24 / 12_000)
    assert "mean weight is 1.2" in naive.refusal
    assert replay(lambda row: 0, arms, rewards, propensities).refusal is None


def test_rejections_are_keyed():
    _, arms, rewards, propensities = skewed_log(3_000, 3)
    values = [replay(lambda row: 0, arms, rewards, propensities, seed=seed).value for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    # under uniform logging nothing is thrown away, whatever the seed
    arms, rewards = uniform_log(2_000, seed=5)
    for seed in range(5):
        e = replay(lambda row: 0, arms, rewards, 0.1 + 0.2, seed=seed)
        assert e.effective_sample_size == pytest.approx((arms == 0).sum(), rel=1e-12)


def test_contexts_and_candidates_reach_the_chooser():
    rng = np.random.default_rng(6)
    contexts, arms = rng.normal(size=(800, 2)), rng.integers(0, 2, 800)
    rewards = contexts[np.arange(800), arms]
    policy = LinUCB(alpha=0.5, model=Linear(n_features=2))
    e = replay(Bandit(policy, range(2)), arms, rewards, 0.5, contexts=contexts)
    assert e.value > 0.45  # E[max of two normals] = 1 / sqrt(pi) = .564; any fixed arm earns 0
    offered = [[arm, 9] for arm in arms.tolist()]
    seen = []

    class Spy:
        def select(self, candidates, context):
            seen.append((candidates, context))
            return candidates[0]

        def update(self, arm, reward, context):
            np.testing.assert_array_equal(context, each[len(seen) - 1, 0])

    each = rng.normal(size=(800, 2, 2))
    kept = replay(Spy(), arms, rewards, 0.5, contexts=each, candidates=offered)
    assert kept.effective_sample_size == pytest.approx(800)
    assert seen[7][0] == offered[7]
    np.testing.assert_array_equal(seen[7][1], each[7])


def test_ids_of_another_type_never_match_and_no_match_is_no_answer():
    arms, rewards = uniform_log(500, seed=5)
    e = replay(lambda row: str(arms[row]), arms, rewards, 1 / 3)
    assert np.isnan(e.value) and "no support" in e.refusal

    class Silent:
        def select(self):
            return Decision(("0", 0, 0), 0, 0, [], np.empty(0, np.int64), [])

        def update(self, arm, reward):
            raise AssertionError

    assert "no support" in replay(Silent(), arms, rewards, 1 / 3).refusal


LOG = {"chooser": lambda row: 0, "arms": [0, 1], "rewards": [1.0, 0.0], "propensities": 0.5}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"chooser": 3}, "chooser = 3 must have `select` and `update`"),
        ({"chooser": Bandit}, "must have `select` and `update`"),
        ({"arms": [0.5, 1]}, "arms[0] = 0.5"),
        ({"arms": [], "rewards": []}, "rewards are empty"),
        ({"rewards": [1.0]}, "rewards must have shape (2,)"),
        ({"rewards": [1.0, np.nan]}, "rewards[1] = nan"),
        ({"propensities": [0.5]}, "propensities must have shape (2,)"),
        ({"propensities": 0.0}, "propensities[0] = 0.0 is not in (0, 1]"),
        ({"least_propensity": 0.6}, "least_propensity = 0.6 must be in (0, 0.5], the least that was logged"),
        ({"least_propensity": 0.0}, "least_propensity = 0.0 must be in"),
        ({"contexts": np.ones((1, 2))}, "contexts must have one entry for each of the 2 rows; got 1"),
        ({"contexts": np.ones((2, 2))}, "a function of the row gets no contexts"),
        ({"contexts": np.ones((2, 2, 2))}, "contexts must be [n, d], or [n, C, d] beside candidates"),
        ({"candidates": [[0, 1]]}, "candidates must have one entry for each"),
        ({"interval": "empirical_bernstein", "reward_range": (0.0, 0.5)}, "pass `reward_range`"),
    ],
)
def test_what_is_wrong_is_named(change, says):
    with pytest.raises(ValueError) as error:
        replay(**{**LOG, **change})
    assert says in str(error.value)
