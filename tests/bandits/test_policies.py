import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seedbed.bandits import KLUCB, UCB1, Bandit, Beta, Thompson

ARMS = list("abcd")
WEIGHTS = st.floats(0, 1000).map(lambda w: w if w > 1e-9 else 0.0)
EVENTS = st.lists(st.tuples(st.sampled_from(ARMS), st.floats(0, 1), WEIGHTS), max_size=30)


def both(policy, events):
    bandit, counts = Bandit(policy, ARMS, seed=1), naive.BetaCounts(policy.model.prior, ARMS)
    for arm, reward, weight in events:
        bandit.update(arm, reward, weight=weight)
        counts.update(arm, reward, weight)
    return bandit, counts


@given(EVENTS, st.tuples(st.floats(0.05, 50), st.floats(0.05, 50)))
def test_thompson_equals_naive(events, prior):
    bandit, counts = both(Thompson(model=Beta(prior=prior)), events)
    scores = bandit.scores()
    decision = bandit.select(k=2)
    np.testing.assert_allclose(scores, naive.thompson_scores(counts, ARMS, decision.key), rtol=1e-8, atol=1e-12)
    if max(scores) < 1.0:  # draws that round to 1.0 are still told apart, by their logits
        assert decision.arms == naive.best(ARMS, scores.tolist(), 2)


@given(EVENTS, st.floats(0, 5))
def test_ucb1_equals_naive(events, alpha):
    bandit, counts = both(UCB1(alpha=alpha), events)
    np.testing.assert_allclose(bandit.scores(), naive.ucb1_scores(counts, ARMS, alpha), rtol=1e-12)


@given(EVENTS, st.floats(0, 5))
def test_kl_ucb_equals_naive(events, c):
    bandit, counts = both(KLUCB(c=c), events)
    np.testing.assert_allclose(bandit.scores(), naive.kl_ucb_scores(counts, ARMS, c), rtol=1e-7, atol=1e-9)


def test_ucb1_by_hand():
    """MABWiser's test: index mean + sqrt(2 ln 10 / n)."""
    bandit = Bandit(UCB1(alpha=1.0), [1, 2, 3])
    bandit.update([1, 1, 1, 2, 2, 3, 3, 3, 3, 3], [0, 0, 1, 0, 0, 0, 0, 1, 1, 1])
    wanted = [1.5723073962832794, 1.5174271293851465, 1.5597051824376162]
    np.testing.assert_allclose(bandit.scores(), wanted, rtol=1e-14)
    assert bandit.select().arms == [1]


def test_totals_count_the_candidates_only():
    bandit = Bandit(UCB1(), ["a", "b", "c"])
    bandit.update(["a", "b", "c"], [1.0, 0.0, 0.0], weight=[2.0, 2.0, 1e6])
    np.testing.assert_allclose(bandit.scores(["a", "b"]), np.array([1.0, 0.0]) + np.sqrt(2 * np.log(4) / 2))


@pytest.mark.parametrize("size", [1, 2, 30, 500])
def test_lazy_thompson_ranks_as_all_draws_do(size):
    """Which draws are inverted never changes the answer: warm, cold and mixed arms, many k."""
    rng = np.random.Generator(np.random.PCG64(size))
    bandit = Bandit(Thompson(model=Beta(prior=(0.7, 3.0))), range(size), seed=11)
    tried = rng.choice(size, size // 2, replace=False)
    n = rng.integers(1, 5000, tried.size)
    bandit.update(tried, rng.random(tried.size).round(3), weight=n.astype(float))
    for k in sorted({1, min(3, size), size}):
        for _ in range(20):
            scores = bandit.scores()
            assert bandit.select(k=k).arms == naive.best(range(size), scores.tolist(), k)


def test_draws_follow_the_posterior():
    bandit = Bandit(Thompson(model=Beta(prior=(0.5, 0.5))), ["a"], seed=42)
    bandit.update("a", 0.25, weight=10.0)
    draws = [bandit.select().scores[0] for _ in range(20_000)]
    assert stats.kstest(draws, stats.beta(3.0, 8.0).cdf).pvalue > 1e-6


def test_thompson_chooses_as_often_as_an_arm_is_best():
    """Against numpy's own Beta sampler: the two frequencies of each arm differ by less than 5 standard errors."""
    bandit = Bandit(Thompson(), ["a", "b", "c"], seed=9)
    bandit.update(["a", "b", "c"], [0.5, 0.6, 0.3], weight=[10.0, 5.0, 2.0])
    n = 40_000
    ours = np.bincount(["abc".index(bandit.select().arms[0]) for _ in range(n)], minlength=3) / n
    rng = np.random.Generator(np.random.PCG64(1))
    draws = rng.beta([6.0, 4.0, 1.6], [6.0, 3.0, 2.4], size=(n, 3)).argmax(axis=1)
    theirs = np.bincount(draws, minlength=3) / n
    error = np.sqrt(ours * (1 - ours) / n + theirs * (1 - theirs) / n)
    assert (np.abs(ours - theirs) < 5 * error).all()


def test_equal_arms_share_the_choice():
    bandit = Bandit(Thompson(), range(10), seed=4)
    chosen = np.bincount([bandit.select().arms[0] for _ in range(10_000)], minlength=10)
    assert stats.chisquare(chosen).pvalue > 1e-6


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_bad_numbers_of_policies(bad):
    for build in (lambda: UCB1(alpha=bad), lambda: KLUCB(c=bad), lambda: Beta(prior=(1.0, bad))):
        with pytest.raises(ValueError, match="validation error"):
            build()


@pytest.mark.parametrize("policy", [UCB1(), KLUCB(), Thompson()], ids=lambda policy: policy.kind)
def test_ties_go_by_uid_whatever_the_order_of_candidates(policy):
    """Untried arms all score infinity under UCB."""
    ids = [f"arm-{i}" for i in range(30)]
    bandit = Bandit(policy, ids, seed=1)
    rng = np.random.Generator(np.random.PCG64(2))
    for _ in range(20):
        order = rng.permutation(ids).tolist()
        scores = bandit.scores(order)
        assert bandit.select(order, k=7).arms == naive.best(order, scores.tolist(), 7)


@given(EVENTS, st.floats(0.001, 0.999))
def test_cells_of_the_beta_model_equal_scipy(events, p):
    bandit, counts = both(Thompson(model=Beta(prior=(2.0, 3.0))), events)
    a, b = np.array([counts.posterior(arm) for arm in ARMS]).T
    model, state, rows = bandit.policy.model, bandit._state, bandit.rows(ARMS)
    x = model.quantile(state, rows, p)
    np.testing.assert_allclose(model.cdf(state, rows, x), p, rtol=1e-7)
    np.testing.assert_allclose(x, stats.beta.ppf(p, a, b), rtol=1e-7)
    np.testing.assert_allclose(model.mean(state, rows), a / (a + b), rtol=1e-14)
    assert model.cdf(state, rows, np.array([0.0, 1.0, -1.0, 2.0])).tolist() == [0.0, 1.0, 0.0, 1.0]
    assert model.quantile(state, rows, np.array([0.0, 1.0, 0.0, 1.0])).tolist() == [0.0, 1.0, 0.0, 1.0]
