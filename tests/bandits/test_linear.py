import naive
import numpy as np
import pytest
from scipy import optimize, stats

from seedbed.bandits import Bandit, HybridLinear, Linear, LinThompson, LinUCB, SharedLinear

RTOL = 1e-10


def close(actual, wanted, rtol=RTOL):
    """Relative to the largest: a mean may cancel to nothing."""
    np.testing.assert_allclose(actual, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())


def log(seed, count, d, arms):
    """Arms, contexts, rewards and weights of events."""
    rng = np.random.Generator(np.random.PCG64(seed))
    theta = rng.normal(size=(arms, d))
    arm, x = rng.integers(0, arms, count), rng.normal(size=(count, d))
    reward = np.sum(x * theta[arm], axis=1) + rng.normal(size=count)
    return arm, x, reward, rng.choice([0.0, 0.3, 1.0, 4.5], count)


def learn(bandit, arm, x, reward, weight):
    """The first half one by one, the others in batches of many sizes."""
    half = len(arm) // 2
    for i in range(half):
        bandit.update(arm[i].item(), float(reward[i]), weight=float(weight[i]), context=x[i])
    start = half
    while start < len(arm):
        part = slice(start, start + 1 + start % 97)
        bandit.update(arm[part], reward[part], weight=weight[part], context=x[part])
        start = part.stop


@pytest.fixture(scope="module", params=[(1, 5, 0.5), (10, 7, 2.0), (64, 8, 1.0)], ids=str)
def disjoint(request):
    """The bandits of both rules after 10,000 events, the oracle of each arm, and d; arm `arms` is untried."""
    d, arms, ridge = request.param
    events = log(d, 10_000, d, arms)
    ids = range(arms + 1)
    oracles = [naive.Ridge(d, ridge) for _ in ids]
    for i, x, reward, weight in zip(*events, strict=True):
        oracles[i].update(x, reward, weight)
    bandits = [rule(n_features=d, ridge=ridge, alpha=0.7) for rule in (LinUCB, LinThompson)]
    bandits = [Bandit(policy, ids, seed=d) for policy in bandits]
    for bandit in bandits:
        learn(bandit, *events)
    return bandits, oracles, d


def contexts_of(d, arms):
    """One context for all, and one for each."""
    rng = np.random.Generator(np.random.PCG64(99))
    return rng.normal(size=d), rng.normal(size=(arms, d))


def predictions(oracles, context):
    rows = np.broadcast_to(context, (len(oracles), np.shape(context)[-1]))
    return np.array([np.ravel(oracle.predict(x)) for oracle, x in zip(oracles, rows, strict=True)]).T


def test_means_and_bounds_equal_ridge_regression_after_10000_events(disjoint):
    (bandit, other), oracles, d = disjoint
    assert bandit.updates == 10_000
    for context in contexts_of(d, len(oracles)):
        mean, variance = predictions(oracles, context)
        close(bandit.mean(context=context), mean)
        close(other.mean(context=context), mean)
        close(bandit.scores(context=context), mean + 0.7 * np.sqrt(variance))
        close(bandit.scores(context=context) - bandit.mean(context=context), 0.7 * np.sqrt(variance))


def test_draws_of_the_disjoint_model_are_inversions_of_each_arms_uniform(disjoint):
    (_, bandit), oracles, d = disjoint
    ids = bandit.arms
    for context in contexts_of(d, len(oracles)):
        mean, variance = predictions(oracles, context)
        for _ in range(50):
            scores = bandit.scores(context=context)
            decision = bandit.select(context=context, k=3)
            close(scores, mean + 0.7 * np.sqrt(variance) * naive.normals(ids, decision.key))
            assert decision.arms == naive.best(ids, scores.tolist(), 3)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("rule", [LinUCB, LinThompson])
def test_choosing_among_few_inverses_is_choosing_among_all(rule, alpha):
    """`select` refuses by bounds, `select_many` scores every arm; over refreshes, other arms, growth and a resume."""
    for d in (1, 5, 33):
        rng = np.random.Generator(np.random.PCG64(d))
        bandit = Bandit(rule(n_features=d, alpha=alpha), range(14), seed=d)
        theta = rng.normal(size=(40, d))
        for step in range(150):
            arms = np.array(bandit.arms)
            arm = rng.choice(arms[-14:], int(rng.integers(1, 200)))
            x = rng.normal(size=(arm.size, d)) * 10.0 ** rng.uniform(-3, 1, (arm.size, 1))
            reward, weight = np.sum(x * theta[arm], axis=1), 10.0 ** rng.uniform(-4, 4, arm.size)
            bandit.update(arm, reward + rng.normal(size=arm.size), weight=weight, context=x)
            if step % 15 == 0:
                bandit.add_arms([step // 15 + 14])
                bandit.retire_arms([int(rng.choice(arms))])
            if step % 40 == 0:
                bandit = Bandit.from_bytes(bandit.to_bytes())
            rows = rng.normal(size=(len(bandit), d))
            for context, k in ((rows[0], 1), (rows, 1), (rows[0], 5)):
                (wanted,) = Bandit.from_bytes(bandit.to_bytes()).select_many(k=k, contexts=[context])
                decision = bandit.select(k=k, context=context)
                assert (decision.arms, decision.scores) == (wanted.arms, wanted.scores)


@pytest.mark.parametrize("rule", [LinUCB, LinThompson])
def test_shared_theta_equals_one_ridge_regression(rule):
    d, ids = 10, range(8)
    events = log(3, 10_000, d, 1)
    oracle = naive.Ridge(d, 0.5)
    for _, x, reward, weight in zip(*events, strict=True):
        oracle.update(x, reward, weight)
    bandit = Bandit(rule(model=SharedLinear(n_features=d, ridge=0.5), alpha=0.7), ids)
    learn(bandit, np.arange(10_000) % 8, *events[1:])
    for context in contexts_of(d, 8):
        mean, variance = oracle.predict(np.broadcast_to(context, (8, d)))
        close(bandit.mean(context=context), mean)
        if rule is LinUCB:
            close(bandit.scores(context=context), mean + 0.7 * np.sqrt(variance))


def joint_draws(bandit, rows, n=20_000):
    """Draws of all candidates, a row a decision."""
    ids, draws = bandit.arms, np.empty((n, len(bandit.arms)))
    for i, decision in enumerate(bandit.select_many(k=len(ids), contexts=[rows] * n)):
        draws[i, decision.arms] = decision.scores
    return draws


def follow(draws, mean, covariance):
    """Means and covariances within 5 standard errors, each draw normal."""
    n, sd = len(draws), np.sqrt(np.diag(covariance))
    assert np.abs((draws.mean(axis=0) - mean) / sd).max() < 5 / np.sqrt(n)
    centred = draws - mean
    error = np.sqrt((np.outer(sd, sd) ** 2 + covariance**2) / n)
    assert (np.abs(centred.T @ centred / n - covariance) < 5 * error).all()
    for column, s in zip(centred.T, sd, strict=True):
        assert stats.kstest(column / s, stats.norm.cdf).pvalue > 1e-6


def test_draws_of_a_shared_theta_are_one_normal_vector_a_decision():
    d, ids = 3, range(5)
    events = log(4, 40, d, 1)
    oracle = naive.Ridge(d, 2.0)
    for _, x, reward, weight in zip(*events, strict=True):
        oracle.update(x, reward, weight)
    bandit = Bandit(LinThompson(model=SharedLinear(n_features=d, ridge=2.0), alpha=0.7), ids, seed=5)
    learn(bandit, np.arange(40) % 5, *events[1:])
    _, rows = contexts_of(d, 5)
    draws = joint_draws(bandit, rows)
    follow(draws, oracle.predict(rows)[0], 0.49 * oracle.covariance(rows))
    theta = np.linalg.solve(rows[:3], draws[:, :3].T)  # of each decision, told by three arms
    np.testing.assert_allclose(draws[:, 3:], (rows[3:] @ theta).T, rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def hybrid():
    """Bandits of both rules after 2,000 events, Algorithm 2 and the joint regression; arm 5 is untried."""
    d, m, arms, ridge = 4, 3, 6, 0.8
    arm, x, reward, weight = log(6, 2_000, d + m, arms - 1)
    algorithm, joint = naive.Hybrid(range(arms), d, m, ridge), naive.Ridge(m + arms * d, ridge)
    for i, row, r, w in zip(arm, x, reward, weight, strict=True):
        algorithm.update(i, row[:d], row[d:], r, w)
        joint.update(naive.joint_row(i, arms, row[:d], row[d:]), r, w)
    model = HybridLinear(n_features=d, n_shared=m, ridge=ridge)
    bandits = [Bandit(rule(model=model, alpha=0.7), range(arms), seed=6) for rule in (LinUCB, LinThompson)]
    for bandit in bandits:
        learn(bandit, arm, x, reward, weight)
    return bandits, algorithm, joint, d


def joint_rows(context, arms, d):
    rows = np.broadcast_to(context, (arms, np.shape(context)[-1]))
    return np.array([naive.joint_row(i, arms, row[:d], row[d:]) for i, row in enumerate(rows)])


def test_hybrid_model_equals_algorithm_2_and_one_joint_regression(hybrid):
    (bandit, _), algorithm, joint, d = hybrid
    for context in contexts_of(7, 6):
        rows = np.broadcast_to(context, (6, 7))
        wanted = np.array([algorithm.predict(i, row[:d], row[d:]) for i, row in enumerate(rows)]).T
        close(wanted, joint.predict(joint_rows(context, 6, d)), 1e-9)
        close(bandit.mean(context=context), wanted[0], 1e-9)
        close(bandit.scores(context=context) - bandit.mean(context=context), 0.7 * np.sqrt(wanted[1]), 1e-9)


def test_draws_of_the_hybrid_model_follow_the_joint_regression(hybrid):
    (_, bandit), _, joint, d = hybrid
    _, context = contexts_of(7, 6)
    context[1:3] = context[0]  # arms that differ by their own parameters alone
    rows = joint_rows(context, 6, d)
    follow(joint_draws(bandit, context), joint.predict(rows)[0], 0.49 * joint.covariance(rows))


@pytest.mark.parametrize("model", [Linear, SharedLinear])
def test_decay_halves_the_evidence_and_keeps_the_ridge_between_a_half_and_one(model):
    """Some effective ridge in [1/2, 1] of the given one explains variance and mean of every prediction at once."""
    d, ridge, half_life, arms = 3, 0.6, 60.0, 4
    rng = np.random.Generator(np.random.PCG64(8))
    bandit = Bandit(LinUCB(model=model(n_features=d, ridge=ridge, half_life=half_life), alpha=1.0), range(arms))
    oracles = [naive.Ridge(d, ridge, half_life) for _ in range(arms)]
    if model is SharedLinear:
        oracles = [oracles[0]] * arms
    arm, x, reward, weight = log(8, 400, d, arms)
    arm[150:] = np.minimum(arm[150:], arms - 2)  # the last arm is left to fade
    at = np.sort(rng.uniform(0, 3_000, 400)) - rng.uniform(0, 50, 400)  # neither in order nor far from it
    at[200:] += 700  # a long silence
    latest = np.append(np.maximum.accumulate(at)[19::20], at.max() + 900)
    for step in range(20):
        part = slice(20 * step, 20 * step + 20)
        bandit.update(arm[part], reward[part], weight=weight[part], context=x[part], at=at[part])
        for i in range(part.start, part.stop):
            oracles[arm[i]].update(x[i], reward[i], weight[i], at[i])
        for now in latest[step] + (latest[step + 1] - latest[step]) * np.array([0.0, 0.3, 0.95]):
            context = rng.normal(size=(arms, d))
            mean = bandit.mean(context=context, now=now)
            variance = (bandit.scores(context=context, now=now) - mean) ** 2
            for i in range(arms):
                explained(oracles[i], context[i], now, mean[i], variance[i])


@pytest.mark.parametrize("model", [Linear, SharedLinear])
@pytest.mark.parametrize("read", ["mean", "scores"])
def test_reading_ahead_changes_nothing(model, read):
    bandit = Bandit(LinUCB(model=model(n_features=1, half_life=60.0)), ["a"])
    bandit.update("a", 1.0, weight=5.0, context=[1.0], at=0.0)
    before = bandit.to_bytes()
    getattr(bandit, read)(context=[[1.0]], now=600.0)
    assert bandit.mean(context=[[1.0]], now=0.0) == pytest.approx([5 / 6])
    assert bandit.to_bytes() == before


def explained(oracle, x, now, mean, variance):
    """By a ridge between 1/2 and 1 of the oracle's."""

    def excess(share):
        return oracle.predict(x, now, share * oracle.ridge)[1][0] / variance - 1

    low, high = excess(1.0), excess(0.5)
    assert low < 1e-9
    assert high > -1e-9
    share = optimize.brentq(excess, 0.5, 1.0, xtol=1e-15) if low < 0 < high else 1.0 if low >= 0 else 0.5
    wanted, nearby = (oracle.predict(x, now, s * oracle.ridge)[0][0] for s in (share, share * (1 + 1e-6)))
    slope = 1e6 * abs(nearby - wanted) / max(high - low, 1e-15)  # of the mean, by a relative change of the variance
    assert abs(mean - wanted) < 1e-9 * (1 + slope + abs(wanted))


@pytest.mark.parametrize("noise", [0.1, 0.01, 0.001])
def test_rounding_does_not_build_up_where_contexts_are_nearly_collinear(noise):
    """Within 1e-8, or what normal equations in doubles lose: epsilon, times sqrt(n) for their sums, times kappa."""
    d, n, ridge = 8, 10_000, 1e-3
    rng = np.random.Generator(np.random.PCG64(7))
    base = rng.normal(size=d)
    x = base + noise * rng.normal(size=(n, d))
    reward, weight = x @ rng.normal(size=d) + rng.normal(size=n), rng.choice([0.5, 1.0, 2.0], n)
    oracle, bandit = naive.Ridge(d, ridge), Bandit(LinUCB(n_features=d, ridge=ridge, alpha=1.0), ["a"])
    for start, stop in ((0, 3_777), (3_777, 6_999), (6_999, n)):  # an inverse made anew may be long ago or just now
        part = slice(start, stop)
        learn(bandit, np.array(["a"] * (stop - start)), x[part], reward[part], weight[part])
        for event in zip(x[part], reward[part], weight[part], strict=True):
            oracle.update(*event)
        kappa = np.linalg.cond(oracle.normal_equations()[0] + ridge * np.eye(d))
        rtol = max(np.finfo(float).eps * np.sqrt(stop) * kappa, 1e-8)
        for context in (base, x[17], *rng.normal(size=(5, d)), x[17] - x[18]):
            mean, variance = oracle.predict_by_orthogonal_factors(context)
            close(bandit.mean(context=context), np.ravel(mean), rtol)
            close(bandit.scores(context=context) - bandit.mean(context=context), np.sqrt(variance), rtol)


@pytest.mark.parametrize("kind", [Linear, SharedLinear])
def test_evidence_that_drowns_the_ridge_leaves_numbers(kind):
    """200 events of weight 1e12 in one direction: the factor's last pivot is lost to rounding, and was no number."""
    for seed in range(20):
        context = 1e3 * np.random.default_rng(seed).normal(size=2)
        bandit = Bandit(LinUCB(model=kind(n_features=2)), ["a"])
        for _ in range(200):
            bandit.update("a", 1.0, 1e12, context=context)
        assert np.isfinite(bandit.scores(context=[1.0, 1.0])).all()
        assert Bandit.from_bytes(bandit.to_bytes()).to_bytes() == bandit.to_bytes()
