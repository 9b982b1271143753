import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.allocators.cold_start.gates import evaluate

CONFIG = ColdStartConfig()


@given(st.integers(0, 5_000), st.floats(0, 1), st.floats(0, 0.2))
def test_gates_equal_scipy(n, retained, negative):
    s, h = int(retained * n), int(negative * n)
    (probability,), (log_evidence,) = evaluate(CONFIG, np.array([n]), np.array([s]), np.array([h]))
    a, b = CONFIG.prior
    assert probability == pytest.approx(stats.beta.sf(CONFIG.bar, a + s, b + n - s), rel=1e-9, abs=1e-300)
    assert log_evidence == pytest.approx(naive.log_evidence(h, n, 0.02, 1.0, 24.0), rel=1e-9, abs=1e-8)


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
