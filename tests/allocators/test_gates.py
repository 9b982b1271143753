import math

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.allocators.cold_start import Atoms, GammaPopulation, Gate
from seedbed.allocators.cold_start.gates import GateTable
from seedbed.allocators.cold_start.harms import HarmTable

CONFIG = ColdStartConfig()


@given(st.integers(0, 5_000), st.floats(0, 1))
def test_the_gate_of_a_beta_population_equals_scipy(n, share):
    s, (a, b) = int(share * n), CONFIG.prior
    (gate,) = CONFIG.all_gates
    assert gate.probability([s], [n]) == pytest.approx(
        stats.beta.sf(CONFIG.bar, a + s, b + n - s), rel=1e-9, abs=1e-300
    )
    assert gate.rate([s], [n]) == pytest.approx((a + s) / (a + b + n), rel=1e-12)


@given(st.integers(0, 5_000), st.floats(0, 0.2))
def test_the_stop_loss_equals_the_naive_one(n, share):
    h = int(share * n)
    (log_evidence,) = HarmTable.of(CONFIG.all_harms).log_evidence(np.array([[float(h)], [float(n)]]))
    assert log_evidence == pytest.approx(naive.log_evidence(h, n, 0.02, 1.0, 24.0), rel=1e-9, abs=1e-8)


@given(st.integers(0, 200), st.floats(0, 500), st.floats(1, 5))
def test_the_gate_of_a_gamma_population_equals_scipy(comments, minutes, dispersion):
    population = GammaPopulation(shape=2.0, rate=40.0)
    gate = Gate(metric="comments", bar=0.05, population=population, dispersion=dispersion)
    shape, rate = 2.0 + comments / dispersion, 40.0 + minutes / dispersion
    assert gate.probability([comments], [minutes]) == pytest.approx(
        stats.gamma.sf(0.05, shape, scale=1 / rate), rel=1e-9
    )
    assert gate.rate([comments], [minutes]) == pytest.approx(shape / rate, rel=1e-12)


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=6, unique=True), st.integers(0, 300), st.floats(0, 1))
def test_the_gate_of_atoms_is_bayes_rule(support, n, share):
    support, s = sorted(support), int(share * n)
    weights = np.arange(1.0, len(support) + 1.0) / sum(range(len(support) + 1))
    atoms = Atoms(support=tuple(support), weights=tuple(weights.tolist()))
    logs = [math.log(w) + s * math.log(p) + (n - s) * math.log1p(-p) for p, w in zip(support, weights, strict=True)]
    masses = [math.exp(log - max(logs)) for log in logs]
    above = sum(mass for mass, p in zip(masses, support, strict=True) if p > 0.3) / sum(masses)
    gate = Gate(metric="retained", bar=0.3, population=atoms)
    assert gate.probability([s], [n]) == pytest.approx(above, rel=1e-9, abs=1e-12)
    assert gate.rate([s], [n]) == pytest.approx(np.dot(masses, support) / sum(masses), rel=1e-9)


def test_rooms_of_all_buckets_are_judged_in_one_call():
    gates = [
        Gate(metric="comments", bar=0.05, population=GammaPopulation(shape=2.0, rate=40.0)),
        Gate(metric="comments", bar=0.02, population=Atoms(support=(0.01, 0.03, 0.2), weights=(0.5, 0.3, 0.2))),
        Gate(metric="comments", bar=0.04, population=Atoms(support=(0.03, 0.05), weights=(0.5, 0.5)), dispersion=2.0),
    ]
    events, minutes, buckets = np.array([3.0, 1.0, 4.0, 0.0]), np.array([50.0, 60.0, 70.0, 0.0]), np.array([2, 0, 1, 2])
    together = GateTable(gates).judge(events, minutes, buckets)
    for i, place in enumerate(buckets):
        assert together[0][i] == gates[place].probability(events[i : i + 1], minutes[i : i + 1])[0]
        assert together[1][i] == gates[place].rate(events[i : i + 1], minutes[i : i + 1])[0]


@pytest.mark.slow
def test_the_share_of_false_promotions_is_what_was_asked_for():
    """If the prior is right, at most 10 % of the promoted rooms lie below the bar, however often one looks.

    2,000 rooms of the population looked at each tick through the whole allocator; 5 standard errors of slack.
    """
    config = ColdStartConfig(seed_deadline=1e6, stop={"limit": 0.5}, scale_cap=600)
    rng = np.random.Generator(np.random.PCG64(8))
    rates = rng.beta(*config.prior, 2_000)
    allocator = ColdStartAllocator(config, seed=8)
    rooms = list(range(2_000))
    allocator.open(rooms, now=0.0)
    promoted = set()
    for tick in range(1, 25):
        plan = allocator.tick(now=60.0 * tick, exposures=10**6)
        promoted |= {change.room for change in plan.changes if change.reason == "PROMOTED"}
        shown = plan.columns()["exposures"]
        allocator.observe(rooms, at=60.0 * tick, exposures=shown, retained=rng.binomial(shown, rates))
    below = np.mean([rates[room] <= config.bar for room in promoted])
    assert len(promoted) > 200
    assert below <= 0.10 + 5 * np.sqrt(0.1 * 0.9 / len(promoted))


@pytest.mark.slow
def test_rooms_at_the_limit_of_harm_are_rarely_stopped_through_the_allocator():
    config = ColdStartConfig(scale_cap=1_000, bar=0.1, prior=(2.0, 8.0))
    rng = np.random.Generator(np.random.PCG64(9))
    allocator = ColdStartAllocator(config, seed=9)
    rooms, rates = list(range(2_000)), np.repeat([0.02, 0.06], 1_000)
    allocator.open(rooms, now=0.0)
    for tick in range(1, 40):
        columns = allocator.tick(now=60.0 * tick, exposures=10**6).columns()
        shown = columns["exposures"]
        harms = rng.binomial(shown, rates)
        allocator.observe(rooms, at=60.0 * tick, exposures=shown, retained=shown - harms, negative=harms)
    stopped = columns["stage"] == 3
    assert stopped[:1_000].mean() <= 0.05
    assert stopped[1_000:].mean() >= 0.98
