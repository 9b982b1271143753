"""Choosing among arms without a context, and propensities."""

import operator
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from measuring import Clock, Job, Result
from references import Array, evidence, million, warm_bandit
from scipy.special import betainc, betaln

from seedbed.bandits import UCB1, Bandit, Thompson


def numpy_beta(arms: int, kind: str, k: int = 1) -> Job:
    """One Thompson decision by numpy, parameters at hand."""
    rng = np.random.Generator(np.random.SFC64(1))
    a, b = (1.0 + counts for counts in evidence(arms, kind))
    if k == 1:
        return lambda: rng.beta(a, b).argmax()
    return lambda: np.argpartition(rng.beta(a, b), -k)[-k:]


def mabwiser(arms: int) -> Job:
    """One Thompson decision by MABWiser, warm."""
    from mabwiser.mab import MAB, LearningPolicy

    mab = MAB(list(range(arms)), LearningPolicy.ThompsonSampling(), seed=1)
    mab.fit(list(range(arms)) * 2, [0] * arms + [1] * arms)
    successes, failures = evidence(arms)
    for arm in range(arms):
        mab._imp.arm_to_success_count[arm] = successes[arm]
        mab._imp.arm_to_fail_count[arm] = failures[arm]
    return mab.predict


def thompson(clock: Clock) -> Iterator[Result]:
    """Exact Thompson sampling among all arms."""
    for kind, limit in (("warm", 0.5), ("half untouched", 1.0), ("untouched", 0.5)):
        bandit = warm_bandit(Thompson(), 1_000, kind)
        for k in (1, 10):
            peer = "numpy SFC64 beta + " + ("argmax" if k == 1 else "argpartition")
            name = f"Thompson, 1,000 arms, {kind}, k = {k}"
            yield clock.compare(name, limit, partial(bandit.select, k=k), peer, numpy_beta(1_000, kind, k))
    bandit = warm_bandit(Thompson(), 1_000)
    yield clock.compare("Thompson, 1,000 arms, warm", 0.02, bandit.select, "MABWiser", mabwiser(1_000))
    yield between_updates(clock)
    for name, policy, limit in (("", Thompson(), 1.0), (", sampler gamma", Thompson(sampler="gamma"), 0.2)):
        bandit = warm_bandit(policy, 10)
        yield clock.compare(
            f"Thompson, 10 arms, warm{name}", limit, bandit.select, "numpy SFC64 beta + argmax", numpy_beta(10, "warm")
        )
    for arms, most in ((10_000, None), (100_000, 0.06)):
        bandit = warm_bandit(Thompson(), arms)
        yield clock.compare(
            f"Thompson, {arms:,} arms, warm", most, bandit.select, "numpy SFC64 beta + argmax", numpy_beta(arms, "warm")
        )


def between_updates(clock: Clock) -> Result:
    """The same with an update before each decision, so that something must be derived anew."""
    bandit = warm_bandit(Thompson(), 1_000)
    rng = np.random.Generator(np.random.SFC64(1))
    a, b = (1.0 + counts for counts in evidence(1_000))

    def ours() -> None:
        bandit.update(bandit.select().arms[0], 0.0)

    def reference() -> None:
        b[rng.beta(a, b).argmax()] += 1.0

    return clock.compare("Thompson, 1,000 arms, warm, each time + update", None, ours, "numpy, the same", reference)


def candidates(clock: Clock) -> Iterator[Result]:
    """500 candidate ids, strings without a stored hash, out of 1,000,000 arms."""
    bandit, ids = million()
    row_of = {id: row for row, id in enumerate(ids)}
    rng = np.random.Generator(np.random.PCG64(3))

    def fresh() -> list[str]:
        return [f"arm-{i}" for i in rng.choice(len(ids), 500, replace=False).tolist()]

    name = "500 fresh ids of 1,000,000 arms: "
    peer = "operator.itemgetter(*ids)(dict)"

    def reference(some: list[str]) -> None:
        operator.itemgetter(*some)(row_of)

    yield clock.compare(name + "look-up", 1.3, bandit.rows, peer, reference, prepare=fresh)
    yield clock.compare(name + "the whole select", None, bandit.select, peer, reference, prepare=fresh)
    small = warm_bandit(Thompson(), 10_000)

    fixed, few = fresh(), list(range(0, 10_000, 20))
    yield clock.compare(
        "500 ids of 1,000,000 arms, the same each time: select",
        None,
        lambda: bandit.select(fixed),
        "the same of 10,000 arms",
        lambda: small.select(few),
    )


def ucb(clock: Clock) -> Iterator[Result]:
    """UCB1 among all arms."""
    successes, failures = evidence(10_000)

    def formula() -> int:
        n = successes + failures
        return int((successes / n + np.sqrt(2.0 * np.log(n.sum()) / n)).argmax())

    yield clock.compare("UCB1, 10,000 arms", 0.5, warm_bandit(UCB1(), 10_000).select, "the formula in numpy", formula)


def propensities(clock: Clock) -> Iterator[Result]:
    """Exact propensities of Thompson sampling, posteriors of like scale."""
    for arms, most in ((20, 1e-4), (100, 5e-4)):
        bandit = warm_bandit(Thompson(), arms)
        a, b = (1.0 + counts for counts in evidence(arms))
        found, expected = bandit.propensities(), by_quadrature(a, b)
        assert np.abs(found - expected).max() < 1e-6
        yield clock.compare(
            f"exact Thompson propensities, {arms} arms",
            None,
            bandit.propensities,
            "Gauss-Legendre of 200 points in scipy",
            partial(by_quadrature, a, b),
            seconds=most,
        )
    mixed, alike = Bandit(Thompson(), range(100), seed=1), warm_bandit(Thompson(), 100)
    for reward, share in ((1.0, 0.05), (0.0, 0.95)):
        mixed.update_rows(mixed.rows(range(100)), np.full(100, reward), weight=share * np.geomspace(1.0, 1e6, 100))
    yield clock.compare(
        "exact Thompson propensities, 100 arms, n = 1 ... 1e6",
        None,
        mixed.propensities,
        "of like scale",
        alike.propensities,
    )


def by_quadrature(a: Array, b: Array) -> Array:
    """Propensities by one Gauss-Legendre rule where all densities are."""
    points, weights = np.polynomial.legendre.leggauss(200)
    mean, spread = a / (a + b), np.sqrt(a * b / (a + b) ** 3)
    low, high = max(0.0, (mean - 9.0 * spread).min()), min(1.0, (mean + 9.0 * spread).max())
    x = low + (high - low) * (points + 1.0) / 2.0
    a, b = a[:, None], b[:, None]
    below = np.maximum(betainc(a, b, x), 1e-300)
    density = np.exp((a - 1.0) * np.log(x) + (b - 1.0) * np.log1p(-x) - betaln(a, b))
    everyone = np.exp(np.log(below).sum(axis=0))
    return (density / below * everyone) @ weights * (high - low) / 2.0


def threads(clock: Clock) -> Iterator[Result]:
    """Many requests a call, on one thread and on two."""
    bandit, size = warm_bandit(Thompson(), 1_000), 1_000
    with ThreadPoolExecutor(2) as pool:

        def both() -> None:
            for job in [pool.submit(bandit.select_many, n=size // 2) for _ in range(2)]:
                job.result()

        yield clock.compare(
            "select_many, 1,000 arms, a request, on two threads",
            1.0 / 1.4,
            both,
            "on one",
            lambda: bandit.select_many(n=size),
            per=size,
        )
    yield clock.compare(
        "select_many, 1,000 arms, a request",
        None,
        lambda: bandit.select_many(n=100),
        "a loop of select",
        lambda: [bandit.select() for _ in range(100)],
        per=100,
    )


SUBJECT = (thompson, candidates, ucb, propensities, threads)
