import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from seedbed.bandits import Bandit, Thompson, propensity
from seedbed.bandits import _families as families
from seedbed.bandits.propensity import inclusion, pairs

NAMES = {
    "beta": families.BETA,
    "normal": families.NORMAL,
    "student": families.STUDENT,
    "gamma": families.GAMMA,
    "gumbel": families.GUMBEL,
}
MIXED = [(1, 1), (5e5, 5e5), (0.5, 3), (60, 940), (62, 938), (1.5, 4)]
SETS = {
    "like": ("beta", [(21 + i, 480 - 3 * i) for i in range(8)]),
    "mixed": ("beta", MIXED),
    "wide and sharp": ("beta", [(0.5, 0.5), (3e5, 7e5), (3.01e5, 6.99e5), (0.5, 1e3), (900, 2000)]),
    "normal": ("normal", [(0, 1), (0.5, 0.01), (0.52, 0.02), (-3, 4), (0.2, 0.3)]),
    "student": ("student", [(0, 1, 3), (0.5, 0.1, 30), (0.4, 0.3, 1.5), (-1, 2, 300), (0, 1, 1e6)]),
    "gamma": ("gamma", [(3, 2), (300, 190), (0.5, 0.5), (1, 1), (2e4, 1.25e4)]),
    "gumbel": ("gumbel", [(0,), (2.5,), (-4,), (2.5,), (1,)]),
}


def columns(arms):
    return np.array([[*arm, 0.0, 0.0][:3] for arm in arms], dtype=float).T.copy()


def beta(*arms):
    return columns(arms)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("name", SETS)
def test_inclusion_equals_quadrature_with_scipy(name, k):
    family, arms = SETS[name]
    parameters = columns(arms)
    wanted = naive.top_chances(family, parameters.T, k)
    assert wanted.sum() == pytest.approx(k, abs=5e-9)  # scipy's norms and tails are good for this much
    assert inclusion(NAMES[family], parameters, k) == pytest.approx(wanted, abs=5e-9)


POSTERIORS = st.tuples(st.floats(-0.3, 5.7), st.floats(-0.3, 5.7)).map(lambda e: (10.0 ** e[0], 10.0 ** e[1]))


@settings(max_examples=8)
@given(st.lists(POSTERIORS, min_size=2, max_size=5), st.integers(1, 4))
def test_inclusion_of_any_posteriors_equals_quadrature(arms, k):
    k = min(k, len(arms))
    parameters = beta(*arms)
    assert inclusion(families.BETA, parameters, k) == pytest.approx(
        naive.top_chances("beta", parameters.T, k), abs=1e-8
    )


SHAPES = st.floats(-3, 6).map(lambda e: 10.0**e)


@given(st.lists(st.tuples(SHAPES, SHAPES), min_size=1, max_size=12), st.integers(1, 12))
def test_chances_are_chances_and_sum_to_k(arms, k):
    k = min(k, len(arms))
    chances = inclusion(families.BETA, beta(*arms), k)
    assert chances.min() >= 0
    assert chances.max() <= 1
    assert chances.sum() == pytest.approx(k, abs=1e-8)


@given(st.integers(1, 60), SHAPES, SHAPES, SHAPES)
def test_two_betas_equal_the_closed_sum(a, b, c, d):
    chance = naive.beta_beats(a, b, c, d)
    assert inclusion(families.BETA, beta((a, b), (c, d))) == pytest.approx([chance, 1 - chance], abs=1e-8)


@given(SHAPES, SHAPES)
def test_a_beta_beats_the_uniform_by_its_mean(a, b):
    assert inclusion(families.BETA, beta((a, b), (1, 1)))[0] == pytest.approx(a / (a + b), abs=1e-9)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-6, 4), st.floats(-6, 4))
def test_two_normals_equal_the_closed_form(m, n, log_s, log_t):
    s, t = np.exp(log_s), np.exp(log_t)
    wanted = special.ndtr((m - n) / np.hypot(s, t))
    assert inclusion(families.NORMAL, beta((m, s), (n, t)))[0] == pytest.approx(wanted, abs=1e-9)


@given(st.floats(-3, 3), st.floats(-4, 1), st.floats(-4, 1))
def test_far_from_zero_nothing_is_lost(difference, log_s, log_t):
    s, t = 10.0**log_s, 10.0**log_t
    m, n = 1e6, 1e6 + difference * t
    wanted = special.ndtr((m - n) / np.hypot(s, t))
    assert inclusion(families.NORMAL, beta((m, s), (n, t)))[0] == pytest.approx(wanted, abs=1e-9)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=20))
def test_a_race_of_gumbels_is_the_softmax(locations):
    parameters = columns([(p,) for p in locations])
    softmax = special.softmax(locations)
    assert inclusion(families.GUMBEL, parameters) == pytest.approx(softmax, abs=1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):  # Plackett-Luce: the second is the first among the others
        wanted = softmax[:, None] * softmax / (1 - softmax)[:, None]
    np.fill_diagonal(wanted, 0)
    clear = softmax < 1 - 1e-6  # elsewhere 1 - softmax has lost its digits
    assert pairs(families.GUMBEL, parameters)[clear] == pytest.approx(wanted[clear], abs=1e-8)


@given(st.floats(-3, 5), st.floats(-3, 5), st.floats(-9, 9), st.floats(-9, 9))
def test_two_gammas_are_a_beta(log_a, log_b, log_q, log_s):
    """X / (X + Y) of Gammas of one rate is a Beta."""
    a, b, q, s = 10.0**log_a, 10.0**log_b, np.exp(log_q), np.exp(log_s)
    wanted = stats.beta.sf(q / (q + s), a, b)
    assert inclusion(families.GAMMA, beta((a, q), (b, s)))[0] == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("freedom", [0.5, 1.0, 2.0, 4.5])
def test_heavy_tails_keep_their_symmetry(freedom):
    twins = columns([(0, 1, freedom), (0, 50, freedom)])
    assert inclusion(families.STUDENT, twins) == pytest.approx([0.5, 0.5], abs=1e-9)


def test_two_cauchys_equal_the_closed_form():
    wanted = 0.5 + np.arctan(2.0 / (1.0 + 0.5)) / np.pi
    assert inclusion(families.STUDENT, columns([(2, 1, 1), (0, 0.5, 1)]))[0] == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("shapes", [(1e-3, 1e-3), (1e-3, 1e6), (0.5, 0.5), (20, 300), (5e5, 5e5), (1e9, 1e10)])
@pytest.mark.parametrize("size", [2, 7, 100])
def test_equal_arms_have_equal_chances(shapes, size):
    for k in {1, 2, size // 2}:
        chances = inclusion(families.BETA, beta(*[shapes] * size), k)
        assert chances == pytest.approx(np.full(size, k / size), abs=1e-9)


def test_a_flock_of_newcomers_beside_warm_arms():
    warm = [(60, 940), (620, 9380), (61000, 939000)]
    chances = inclusion(families.BETA, beta(*[(1, 19)] * 50, *warm))
    assert np.ptp(chances[:50]) < 1e-15
    together = naive.top_chances("beta", beta(*[(1, 19)] * 50, *warm).T[[*range(50), 50, 51, 52]], 1)
    assert chances == pytest.approx(together, abs=1e-9)


def test_hopeless_arms_get_nothing_and_nothing_negative():
    chances = inclusion(families.BETA, beta((9e5, 1e5), (10, 1e6), (1e5, 9e5), (9.001e5, 1e5)))
    assert chances[[1, 2]].tolist() == [0, 0]
    assert chances[[0, 3]].sum() == pytest.approx(1, abs=1e-9)


def test_certain_and_possible_arms():
    """Five far above the rest: the sixth place is raced for by the others."""
    chances = inclusion(families.NORMAL, beta(*[(100, 1)] * 5, *[(0, 1)] * 4, (-100, 1)), 6)
    assert chances == pytest.approx([1] * 5 + [0.25] * 4 + [0], abs=1e-9)


def test_frequencies_of_draws():
    rng = np.random.Generator(np.random.PCG64(5))
    arms = beta(*[(20 + i, 400 - 5 * i) for i in range(20)], (1, 1), (0.5, 9))
    draws = 200_000
    order = np.argsort(-rng.beta(arms[0], arms[1], (draws, arms.shape[1])), axis=1)
    for k in (1, 5):
        chances = inclusion(families.BETA, arms, k)
        counts = np.bincount(order[:, :k].ravel(), minlength=arms.shape[1])
        assert np.abs(counts - draws * chances).max() < 5 * np.sqrt(draws * np.max(chances * (1 - chances)))
        assert np.all(np.abs(counts - draws * chances) < 5 * np.sqrt(draws * chances * (1 - chances)) + 1)
    both = pairs(families.BETA, arms)
    counts = np.bincount(order[:, 0] * arms.shape[1] + order[:, 1], minlength=both.size).reshape(both.shape)
    assert np.all(np.abs(counts - draws * both) < 5 * np.sqrt(draws * both) + 5)


@settings(max_examples=60)
@given(st.lists(st.tuples(SHAPES, SHAPES), min_size=1, max_size=9))
def test_pairs_add_up_to_inclusion(arms):
    parameters = beta(*arms)
    both = pairs(families.BETA, parameters)
    assert both.min() >= 0
    assert not np.diagonal(both).any()
    if len(arms) > 1:
        first, second = both.sum(axis=1), both.sum(axis=0)
        assert first == pytest.approx(inclusion(families.BETA, parameters), abs=1e-8)
        assert first + second == pytest.approx(inclusion(families.BETA, parameters, 2), abs=1e-8)


def test_all_arms_are_taken():
    assert inclusion(families.BETA, beta((1, 1))).tolist() == [1]
    assert inclusion(families.BETA, beta((1, 1), (2, 3)), 2).tolist() == [1, 1]
    assert pairs(families.BETA, beta((1, 1))).tolist() == [[0]]


def test_arms_may_come_in_any_order():
    arms = beta(*MIXED)
    turned = np.asfortranarray(arms[:, ::-1])
    assert inclusion(families.BETA, turned, 2)[::-1] == pytest.approx(inclusion(families.BETA, arms, 2), abs=1e-12)


@pytest.mark.parametrize("k", [0, 3])
def test_k_is_checked(k):
    with pytest.raises(ValueError, match=rf"k must be in \[1, 2\], the arms; got {k}"):
        inclusion(families.BETA, beta((1, 1), (2, 1)), k)


@pytest.mark.parametrize("arm", [(np.nan, 1), (0, np.inf), (0, 0), (1e9, 1e-12)])
def test_what_cannot_be_integrated_is_refused(arm):
    with pytest.raises(ValueError, match="did not converge"):
        inclusion(families.NORMAL, beta((0, 1), arm, (1, 1)))


def test_one_signature():
    inclusion(families.BETA, beta((1, 1), (2, 1)))
    pairs(families.NORMAL, np.asfortranarray(beta((1, 1), (2, 1))))
    assert len(propensity._sweep.signatures) == 1


def test_repeated_candidates_are_refused():
    bandit = Bandit(Thompson(), ["a", "b"])
    for ask in (bandit.propensities, bandit.scores, bandit.select):
        with pytest.raises(ValueError, match="candidate 'a' is given twice"):
            ask(["a", "b", "a"])
