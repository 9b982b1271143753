import itertools
import math

import naive
import numpy as np
import pytest
from scipy import stats

from seedbed.bandits import (
    EXP3,
    KLUCB,
    Bandit,
    BayesUCB,
    Beta,
    EpsilonGreedy,
    GammaPoisson,
    Gaussian,
    HybridLinear,
    Linear,
    LinThompson,
    SharedLinear,
    Thompson,
    TopTwo,
)

COUNTS = [Beta(prior=(0.7, 3.0)), Gaussian(prior=(0.1, 2.0, 3.0, 4.0)), GammaPoisson(prior=(0.5, 2.0))]
LINEAR = [Linear(n_features=3), SharedLinear(n_features=3), HybridLinear(n_features=2, n_shared=1)]
ARMS = list("abcde")
SOME = (list("aabbcdd"), [1.0, 0.5, 0.25, 0.0, 0.6, 0.7, 0.1], [2.0, 1.0, 3.0, 1.0, 9.0, 0.5, 4.0])
EVENTS = {arm: [(r, w) for a, r, w in zip(*SOME, strict=True) if a == arm] for arm in ARMS}


def kind(model):
    return model.kind


def learnt(policy, seed=1, **keywords):
    bandit = Bandit(policy, ARMS, seed=seed)
    bandit.update(SOME[0], SOME[1], weight=SOME[2], **keywords)
    return bandit


def chosen(bandit, n, k=1, **keywords):
    """How often each arm is chosen in n keyed decisions."""
    decisions = bandit.select_many(n=n, k=k, **keywords)
    return np.bincount([ARMS.index(arm) for d in decisions for arm in d.arms], minlength=len(ARMS))


def law_of(model, events):
    """The posterior, by scipy."""
    if model.kind == "gaussian":
        df, mean, scale = naive.student_of(model.prior, events)
        return stats.t(df, mean, scale)
    if model.kind == "gamma_poisson":
        shape, rate = naive.gamma_of(model.prior, events)
        return stats.gamma(shape, scale=1 / rate)
    wins = sum(r * w for r, w in events)
    return stats.beta(model.prior[0] + wins, model.prior[1] + sum(w for _, w in events) - wins)


@pytest.mark.parametrize("c", [0.0, 2.5])
@pytest.mark.parametrize("model", COUNTS, ids=kind)
def test_bayes_ucb_is_the_upper_quantile(model, c):
    bandit, events = Bandit(BayesUCB(c=c, model=model), ARMS), {arm: [] for arm in ARMS}
    for count, (arm, reward, weight) in enumerate(zip(*SOME, strict=True)):
        tail = naive.bayes_tail(count, c)
        np.testing.assert_allclose(
            bandit.scores(), [law_of(model, events[arm]).isf(tail) for arm in ARMS], rtol=1e-8, atol=1e-12
        )
        bandit.update(arm, reward, weight=weight)
        events[arm].append((reward, weight))


def test_bayes_ucb_of_a_linear_model_is_a_normal_quantile():
    oracle, bandit = naive.Ridge(3, 1.0), Bandit(BayesUCB(model=Linear(n_features=3)), ["a"])
    rng = np.random.Generator(np.random.PCG64(1))
    for count in range(30):
        x = rng.normal(size=3)
        mean, variance = oracle.predict(x)
        wanted = mean + np.sqrt(variance) * stats.norm.isf(naive.bayes_tail(count, 0.0))
        np.testing.assert_allclose(bandit.scores(context=x), wanted, rtol=1e-9, atol=1e-12)
        bandit.update("a", count / 7, context=x)
        oracle.update(x, count / 7)


# SMPyBandits' doctests, printed by a truncated bisection: mean, level per reward, index
BERNOULLI = [(0.1, 0.2, 0.378391), (0.5, 0.2, 0.787088), (0.9, 0.2, 0.994489), (0.1, 0.4, 0.519475)]
BERNOULLI += [(0.1, 0.9, 0.734714), (0.5, 0.4, 0.871035), (0.5, 0.9, 0.956809), (0.9, 0.4, 0.999285)]
GAUSS = [(0.1, 0.2, 0.416227), (0.5, 0.4, 0.947213), (0.9, 0.9, 1.570820)]
POISSON = [(0.1, 0.2, 0.450523), (0.5, 0.2, 1.089376), (0.9, 0.9, 2.831573)]


@pytest.mark.parametrize(
    ("policy", "published"),
    [(KLUCB(), BERNOULLI), (KLUCB(variance=0.25, model=Gaussian()), GAUSS), (KLUCB(model=GammaPoisson()), POISSON)],
    ids=["Bernoulli", "Gauss", "Poisson"],
)
def test_kl_ucb_equals_published_numbers(policy, published):
    """One reward of weight 1 beside e^d - 1 of another arm: ln t = d."""
    for mean, d, index in published:
        bandit = Bandit(policy, ["a", "b"])
        bandit.update(["a", "b"], [mean, 0.0], weight=[1.0, math.expm1(d)])
        assert bandit.scores()[0] == pytest.approx(index, abs=2e-6)


def test_divergences_equal_published_numbers():
    for p, q, wanted in ((0.1, 0.9, 1.757779), (0.4, 0.5, 0.020135), (0.01, 0.99, 4.503217)):
        assert naive.kl(p, q) == pytest.approx(wanted, abs=1e-6)
        bandit = Bandit(KLUCB(), ["a", "b"])  # so the index of p at level kl(p, q) is q
        bandit.update(["a", "b"], [p, 0.0], weight=[1.0, math.expm1(naive.kl(p, q))])
        assert bandit.scores()[0] == pytest.approx(q, abs=1e-9)


@pytest.mark.parametrize("c", [0.0, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_kl_ucb_of_other_families(seed, c):
    rng = np.random.Generator(np.random.PCG64(seed))
    arms, size = ARMS[:4], 60
    arm = rng.choice(arms, size).tolist()
    reward, weight = rng.gamma(0.7, 2.0, size) * (rng.random(size) < 0.8), rng.choice([0.0, 0.2, 1.0, 30.0], size)
    moments = [naive.moments_of([e[1:] for e in zip(arm, reward, weight, strict=True) if e[0] == a]) for a in arms]
    level = naive.kl_level(weight.sum(), c)
    wanted = {
        KLUCB(c=c, model=GammaPoisson()): [naive.kl_upper_poisson(m, level / n) for n, m, _ in moments],
        KLUCB(c=c, variance=0.3, model=Gaussian()): [m + math.sqrt(0.6 * level / n) for n, m, _ in moments],
        KLUCB(c=c, model=Gaussian()): [m + math.sqrt(v * math.expm1(2 * level / (n - 2))) for n, m, v in moments],
    }
    for policy, scores in wanted.items():
        bandit = Bandit(policy, ARMS)
        bandit.update(arm, reward, weight=weight)
        np.testing.assert_allclose(bandit.scores(), [*scores, math.inf], rtol=1e-9)
        assert bandit.select(k=4).arms == naive.best(ARMS, [*scores, math.inf], 4)


def test_kl_ucb_without_known_variance_is_infinite_up_to_two_rewards():
    bandit = Bandit(KLUCB(model=Gaussian()), ARMS)
    bandit.update(["a", "a", "b", "b", "c"], [1.0, 2.0, 1.0, 2.0, 1.0], weight=[1.0, 1.0, 1.0, 1.1, 0.5])
    assert np.isinf(bandit.scores()).tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_epsilon_greedy_fills_slot_by_slot(epsilon, k):
    bandit, n = learnt(EpsilonGreedy(epsilon=epsilon)), 20_000
    order = [ARMS.index(arm) for arm in naive.best(ARMS, bandit.mean().tolist(), 5)]
    wanted = naive.epsilon_greedy_chances(5, epsilon, k)
    np.testing.assert_allclose(bandit.propensities(k=k)[order], wanted, rtol=1e-12, atol=1e-15)
    assert naive.frequencies_fit(chosen(bandit, n, k)[order], n, np.minimum(wanted, 1.0))


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize(("gamma", "eta"), [(0.2, None), (0.5, 0.4), (0.01, 0.03)])
def test_exp3_is_a_race_by_exponential_weights(gamma, eta, k):
    """S of an arm: the sum of w r / propensity; events of weight 1 and of others."""
    propensity = np.array([0.2, 0.5, 0.9, 1.0, 0.1, 0.3, 0.25])
    bandit, n = learnt(EXP3(gamma=gamma, eta=eta), propensity=propensity), 20_000
    sums = [sum(w * r / p for a, r, w, p in zip(*SOME, propensity, strict=True) if a == arm) for arm in ARMS]
    p = naive.exp3_chances(sums, gamma, eta or gamma / 5)
    np.testing.assert_allclose(bandit.propensities(), p, rtol=1e-7)
    wanted = naive.race_chances(p, k)
    np.testing.assert_allclose(bandit.propensities(k=k), wanted, atol=1e-7)
    assert naive.frequencies_fit(chosen(bandit, n, k), n, wanted)
    few = ["d", "a", "c"]
    some = naive.exp3_chances([sums[ARMS.index(arm)] for arm in few], gamma, eta or gamma / 3)
    np.testing.assert_allclose(bandit.propensities(few), some, rtol=1e-7)


def test_exp3_without_propensity_takes_that_of_the_moment():
    policy, rng = EXP3(gamma=0.3, eta=0.2), np.random.Generator(np.random.PCG64(2))
    told, untold, sums = Bandit(policy, ARMS), Bandit(policy, ARMS), [0.0] * 5
    for arm, reward in zip(rng.integers(0, 5, 60).tolist(), rng.random(60).tolist(), strict=True):
        p = naive.exp3_chances(sums, 0.3, 0.2)[arm]
        told.update(ARMS[arm], reward, propensity=p)
        untold.update(ARMS[arm], reward)
        sums[arm] += reward / p
        np.testing.assert_allclose(told.propensities(), naive.exp3_chances(sums, 0.3, 0.2), rtol=1e-7)
        np.testing.assert_allclose(untold.propensities(), told.propensities(), rtol=1e-7)


@pytest.mark.parametrize("rounds", [1, 2, 100])
@pytest.mark.parametrize("model", COUNTS, ids=kind)
def test_top_two_chooses_as_often_as_propensities_say(model, rounds):
    bandit, n = learnt(TopTwo(beta=0.6, rounds=rounds, model=model)), 20_000
    chances = bandit.propensities()
    np.testing.assert_allclose(chances.sum(), 1.0, atol=1e-7)
    assert naive.frequencies_fit(chosen(bandit, n), n, chances)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("rounds", [1, 5])
def test_top_two_slates_are_choices_among_the_arms_left(rounds, k):
    """Two samples, ours and numpy's, of ordered slates: chi-square of homogeneity."""
    bandit, n = learnt(TopTwo(beta=0.6, rounds=rounds)), 20_000
    laws, rng = np.array([law_of(Beta(), EVENTS[arm]).args for arm in ARMS]), np.random.Generator(np.random.PCG64(3))
    slates = {slate: [0, 0] for slate in itertools.permutations(ARMS, k)}
    for decision in bandit.select_many(n=n, k=k):
        slates[tuple(decision.arms)][0] += 1
    for _ in range(n):
        left, slate = list(range(5)), []
        for _ in range(k):
            slate.append(left.pop(naive.top_two_choice(lambda left=left: rng.beta(*laws[left].T), 0.6, rounds, rng)))
        slates[tuple(ARMS[i] for i in slate)][1] += 1
    table = np.array([pair for pair in slates.values() if sum(pair) >= 20])
    assert stats.chi2_contingency(table.T, correction=False).pvalue > 1e-6


@pytest.mark.parametrize("a", [0.3, 1.0, 5.0, 200.0])
def test_draws_by_gammas_follow_the_posterior(a):
    policies = {Thompson(model=Beta(prior=(a, b)), sampler="gamma"): stats.beta(a, b) for b in (0.3, 1.0, 5.0, 200.0)}
    policies[Thompson(model=GammaPoisson(prior=(a, 2.0)), sampler="gamma")] = stats.gamma(a, scale=0.5)
    for policy, law in policies.items():
        decisions = Bandit(policy, range(50), seed=3).select_many(n=1_000, k=50)
        assert stats.kstest(np.concatenate([d.scores for d in decisions]), law.cdf).pvalue > 1e-6


def mixed(policy, size):
    """Arms of mixed evidence: a third untried, a third with 1e5 observations, a third with a few."""
    bandit, rng = Bandit(policy, range(size), seed=size), np.random.Generator(np.random.PCG64(size))
    tried = rng.permutation(size)[: -(-2 * size // 3)]
    weight = np.where(np.arange(tried.size) % 2, 1e5, rng.integers(1, 9, tried.size))
    rewards = np.clip(0.3 + 0.1 * rng.normal(size=tried.size), 0, 1)
    context = {"context": rng.normal(size=(tried.size, 3))} if policy.model.is_contextual else {}
    bandit.update(tried, rewards, weight=weight, **context)
    return bandit, rng


@pytest.mark.parametrize("size", [3, 70, 1_500, 9_000])
@pytest.mark.parametrize(
    "policy",
    [*(Thompson(model=model) for model in COUNTS + LINEAR), *(LinThompson(model=model) for model in LINEAR)],
    ids=lambda policy: f"{policy.kind} {policy.model.kind}",
)
def test_lazy_thompson_ranks_as_all_draws_do(policy, size):
    bandit, rng = mixed(policy, size)
    uids = np.array([naive.uid64(i) for i in range(size)], dtype=np.uint64)
    for k, all_of_them in itertools.product(sorted({k for k in (1, 2, 10, size) if k <= size}), (True, False)):
        for _ in range(3):
            ids = np.arange(size) if all_of_them else rng.permutation(size)[: max(k, size // 2)]
            context = {"context": rng.normal(size=(ids.size, 3))} if policy.model.is_contextual else {}
            scores = bandit.scores(ids.tolist(), **context)
            decision = bandit.select(None if all_of_them else ids.tolist(), k=k, **context)
            order = np.lexsort((uids[ids], -scores))[:k]
            assert decision.arms == ids[order].tolist()
            assert decision.scores == scores[order].tolist()
