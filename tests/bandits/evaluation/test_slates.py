import numpy as np
import pytest

from bandits.evaluation import naive_slates as naive
from seedbed.bandits.evaluation.slate_totals import pseudo_inverse
from seedbed.bandits.evaluation.slates import iips, per_position, rips, slate_ips

ARMS, LENGTH = 5, 3
LOGGING, TARGET = [1.0, 2.0, 3.0, 2.0, 1.0], [4.0, 1.0, 1.0, 3.0, 0.5]
LOGGED, WANTED = naive.chances(LOGGING, LENGTH), naive.chances(TARGET, LENGTH)
SLATES = list(LOGGED)
JOINT = np.array([np.prod(LOGGED[slate]) for slate in SLATES])
WANTED_JOINT = np.array([np.prod(WANTED[slate]) for slate in SLATES])
RNG = np.random.default_rng(11)
OWN = RNG.random((4, ARMS))
ABOVE = RNG.random((LENGTH, ARMS, ARMS))


def own(slate):
    """Rewards that depend on their arm and position."""
    return [OWN[place, arm] for place, arm in enumerate(slate)]


def cascade(slate):
    """Rewards that depend on the arms above too."""
    return [OWN[place, arm] * np.prod([ABOVE[place, arm, u] for u in slate[:place]]) for place, arm in enumerate(slate)]


def whole(slate):
    """Rewards that depend on the slate as a whole."""
    return [OWN[place, slate[-1 - place]] * slate[0] for place in range(LENGTH)]


def exhaustive(rewards_of):
    """One row a slate: rewards, marginal and stepwise propensities of both policies, and the target's true value."""
    q = [naive.marginals(of, ARMS, LENGTH) for of in (LOGGED, WANTED)]
    marginal = [np.array([table[np.arange(LENGTH), list(slate)] for slate in SLATES]) for table in q]
    steps = [np.array([of[slate] for slate in SLATES]) for of in (LOGGED, WANTED)]
    rewards = np.array([rewards_of(slate) for slate in SLATES])
    return rewards, marginal, steps, WANTED_JOINT @ rewards.sum(axis=1)


@pytest.mark.parametrize("estimator", [iips, rips, slate_ips])
def test_each_estimator_is_unbiased_where_its_model_is_right_and_only_there(estimator):
    """What it says of a log of one slate, times the chance that this slate is logged, over all slates."""
    right_for = {own: {iips, rips, slate_ips}, cascade: {rips, slate_ips}, whole: {slate_ips}}
    for rewards_of, right in right_for.items():
        rewards, marginal, steps, truth = exhaustive(rewards_of)
        given = marginal if estimator is iips else steps
        alone = [estimator(rewards[i : i + 1], *(g[i : i + 1] for g in given)).value for i in range(len(SLATES))]
        error = abs(JOINT @ alone - truth)
        assert (error < 1e-12) if estimator in right else (error > 1e-3)


def test_positions_add_up():
    rewards, marginal, _, _ = exhaustive(cascade)
    for self_normalised in (False, True):
        each = per_position(rewards, *marginal, self_normalised=self_normalised)
        total = iips(rewards, *marginal, self_normalised=self_normalised)
        assert sum(e.value for e in each) == pytest.approx(total.value, rel=1e-12)
        weights = marginal[1] / marginal[0]
        by_hand = weights * rewards / (weights.mean(axis=0) if self_normalised else 1.0)
        np.testing.assert_allclose([e.value for e in each], by_hand.mean(axis=0), rtol=1e-12)
        sizes = weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0)
        np.testing.assert_allclose([e.effective_sample_size for e in each], sizes, rtol=1e-12)
        assert total.effective_sample_size == pytest.approx(sizes[0])  # the first that is refused: all are
        smallest = iips(rewards, *marginal, min_ess=0.0, self_normalised=self_normalised).effective_sample_size
        assert smallest == pytest.approx(sizes.min(), rel=1e-12)
    assert [e.method for e in each] == [f"self_normalised_iips[{place}]" for place in range(LENGTH)]


def test_self_normalised_weights_are_divided_by_their_mean():
    rewards, _, steps, _ = exhaustive(cascade)
    weights = np.cumprod(steps[1] / steps[0], axis=1)
    expected = ((weights * rewards).sum(axis=0) / weights.sum(axis=0)).sum()
    assert rips(rewards, *steps, self_normalised=True).value == pytest.approx(expected, rel=1e-12)
    expected = (weights[:, -1] * rewards.sum(axis=1)).sum() / weights[:, -1].sum()
    assert slate_ips(rewards, *steps, self_normalised=True).value == pytest.approx(expected, rel=1e-12)
    products = [np.prod(array, axis=1) for array in steps]
    assert slate_ips(rewards, *products).value == pytest.approx(slate_ips(rewards, *steps).value, rel=1e-12)


def test_one_position_is_the_same_to_all():
    rng = np.random.default_rng(2)
    rewards, logged, target = rng.random((500, 1)), rng.uniform(0.2, 1, (500, 1)), rng.random((500, 1))
    values = {estimator(rewards, logged, target).value for estimator in (iips, rips, slate_ips)}
    assert len(values) == 1 and values.pop() == pytest.approx(np.mean(rewards * target / logged), rel=1e-12)


@pytest.mark.parametrize("estimator", [iips, rips, slate_ips])
@pytest.mark.parametrize("self_normalised", [False, True])
def test_intervals_cover_at_their_level(estimator, self_normalised):
    rewards_of, logs, n = own, 400, 600
    rng = np.random.default_rng(5)
    means = np.array([rewards_of(slate) for slate in SLATES])
    truth = WANTED_JOINT @ means.sum(axis=1)
    logged, target = naive.marginals(LOGGED, ARMS, LENGTH), naive.marginals(WANTED, ARMS, LENGTH)
    places = np.arange(LENGTH)
    given = [np.array([q[places, list(slate)] for slate in SLATES]) for q in (logged, target)]
    if estimator is not iips:
        given = [np.array([of[slate] for slate in SLATES]) for of in (LOGGED, WANTED)]
    covered, values, halves = 0, [], []
    for _ in range(logs):
        rows = rng.choice(len(SLATES), n, p=JOINT)
        rewards = (rng.random((n, LENGTH)) < means[rows]).astype(float)
        e = estimator(rewards, *(array[rows] for array in given), self_normalised=self_normalised, interval="normal")
        covered += e.lower <= truth <= e.upper
        values.append(e.value)
        halves.append((e.upper - e.lower) / 2)
    assert covered > logs * 0.95 - 5 * np.sqrt(logs * 0.95 * 0.05)
    # half of the interval's width over 1.96 is the standard deviation of the values, known within 1 / sqrt(2 logs)
    assert abs(np.median(halves) / (1.96 * np.std(values)) - 1) < 5 / np.sqrt(2 * logs)
    assert abs(np.mean(values) - truth) < 5 * np.std(values) / np.sqrt(logs)


@pytest.mark.parametrize(("arms", "length"), [(4, 1), (4, 2), (5, 3), (4, 4)])
def test_the_pseudo_inverse_is_that_of_the_matrix(arms, length):
    q = naive.marginals(naive.chances(TARGET[:arms], length), arms, length)
    slates, expected = naive.pseudo_inverse_weights(q, arms, length)
    at_place = np.array([q[np.arange(length), list(slate)] for slate in slates])
    anywhere = np.minimum(np.array([q.sum(axis=0)[list(slate)] for slate in slates]), 1.0)
    weights = [pseudo_inverse([1.0], at_place[i : i + 1], anywhere[i : i + 1], arms).value for i in range(len(slates))]
    np.testing.assert_allclose(weights, expected, atol=1e-9)
    # and so the mean over all slates is the value of the target for any reward that adds up
    rewards = np.array([sum(own(slate)) for slate in slates])
    truth = (q * OWN[:length, :arms]).sum()
    estimate = pseudo_inverse(rewards, at_place, anywhere, np.full(len(slates), arms))
    assert estimate.value == pytest.approx(truth, rel=1e-9)
    assert estimate.mean_weight == pytest.approx(1.0, rel=1e-9)
    apart = np.array([own(slate) for slate in slates])
    assert pseudo_inverse(apart, at_place, anywhere, arms).value == pytest.approx(truth, rel=1e-9)


def test_clipping_is_of_each_weight_after_products():
    given = ([[1.0, 1.0]], [[0.5, 0.5]], [[1.0, 1.0]])
    assert iips(*given, clip=1.5).value == 3.0
    assert rips(*given, clip=3.0).value == 2.0 + 3.0
    assert slate_ips(*given, clip=3.0).value == 3.0 * 2.0
    assert slate_ips(*given, clip=3.0).clipped == 1.0


def test_empirical_bernstein_rests_on_the_range_of_rewards():
    rewards, marginal, steps, _ = exhaustive(own)
    wide = iips(rewards, *marginal, interval="empirical_bernstein")
    normal = iips(rewards, *marginal, interval="normal")
    assert wide.lower < normal.lower and normal.upper < wide.upper
    wider = iips(rewards, *marginal, interval="empirical_bernstein", reward_range=(0, 2))
    extra = (marginal[1] / marginal[0]).max(axis=0).sum() * 7 * np.log(2 / 0.025) / (3 * (len(SLATES) - 1))
    assert (wider.upper - wide.upper) == pytest.approx(extra, rel=1e-9)
    with pytest.raises(ValueError, match="pass `reward_range`"):
        slate_ips(rewards, *steps, interval="empirical_bernstein")
    with pytest.raises(ValueError, match="not for weights that are self-normalised"):
        iips(rewards, *marginal, interval="empirical_bernstein", self_normalised=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'widht'"):
        iips(rewards, *marginal, widht=1)


def test_a_position_without_support_or_with_false_propensities_is_refused():
    rng = np.random.default_rng(1)
    rewards, logged = rng.random((2_000, 2)), np.full((2_000, 2), 0.5)
    target = np.where(rng.random((2_000, 2)) < 0.5, 0.9, 0.1)
    assert iips(rewards, logged, target).refusal is None
    unsupported = target * [1.0, 0.0]
    for self_normalised in (False, True):
        assert "no support" in iips(rewards, logged, unsupported, self_normalised=self_normalised).refusal
    assert "mean weight" in iips(rewards, logged * [0.5, 1.0], target).refusal
    assert "mean weight" in iips(rewards, logged * [1.0, 0.5], target).refusal
    assert "an answer needs 5000" in iips(rewards, logged, target, min_ess=5_000).refusal
    assert "reward other than zero" in iips(0.0 * rewards, logged, target).refusal


GOOD = {"rewards": [[1.0, 0.0]], "propensities": [[0.5, 0.5]], "target_propensities": [[0.5, 0.0]]}


@pytest.mark.parametrize("estimator", [iips, rips, slate_ips, per_position])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rewards": [1.0, 0.0]}, "rewards must be numbers [n, L]"),
        ({"rewards": [["a", "b"]]}, "rewards must be numbers [n, L]"),
        ({"rewards": [[np.nan, 0.0]]}, "rewards[0, 0] = nan is not in the finite numbers"),
        ({"propensities": [[0.5, 0.0]]}, "propensities[0, 1] = 0.0 is not in (0, 1]"),
        ({"propensities": [[np.nan, 0.5]]}, "propensities[0, 0] = nan"),
        ({"target_propensities": [[1.5, 0.5]]}, "target_propensities[0, 0] = 1.5 is not in [0, 1]"),
        ({"target_propensities": [[0.5, 0.5]] * 2}, "must have one shape [n, L]"),
        ({"clip": 0.0}, "clip must be positive, or None; got 0.0"),
        ({"interval": "wide"}, "interval = 'wide' is none of"),
    ],
)
def test_what_is_wrong_is_named(estimator, change, says):
    if estimator is slate_ips and "nan is not in the finite" in says:
        return
    with pytest.raises(ValueError) as error:
        estimator(**{**GOOD, **change})
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([1.0], [[0.5, 0.5]], [[0.5, 0.5]], 1), "n_candidates[0] = 1.0 is not in the integers of at least 2"),
        (([1.0], [[0.5, 0.5]], [[0.5, 0.5]], 2.5), "n_candidates[0] = 2.5"),
        (([1.0, 2.0], [[0.5, 0.5]], [[0.5, 0.5]], 4), "rewards must be [n] or [n, L]"),
        (([1.0], [[0.5, 1.5]], [[0.5, 0.5]], 4), "target_propensities[0, 1] = 1.5"),
        (([1.0], [[0.5, 0.5]], [[-0.5, 0.5]], 4), "target_inclusion[0, 0] = -0.5"),
        (([np.inf], [[0.5, 0.5]], [[0.5, 0.5]], 4), "rewards[0] = inf"),
    ],
)
def test_what_is_wrong_with_a_pseudo_inverse_is_named(arguments, says):
    with pytest.raises(ValueError) as error:
        pseudo_inverse(*arguments)
    assert says in str(error.value)
