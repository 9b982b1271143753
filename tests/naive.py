"""Oracles: everything once more, slowly, in plain Python and scipy, without sight of the kernels."""

import math
from hashlib import blake2b

import numpy as np
from scipy import optimize, special, stats

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix64(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def fold_in(key, n):
    folded = mix64(mix64((n + GOLDEN) & MASK) ^ (key & MASK))
    return folded - 2**64 if folded >= 2**63 else folded


def uid64(id):
    tagged = b"s" + id.encode() if isinstance(id, str) else b"i" + id.to_bytes(8, "little", signed=True)
    return int.from_bytes(blake2b(tagged, digest_size=8).digest(), "little")


def uniform(key, uid, lane=0):
    bits = mix64((mix64((key & MASK) ^ uid) + lane * GOLDEN) & MASK)
    return ((bits >> 12) + 0.5) / 2**52


class BetaCounts:
    """Prior and evidence of each arm, by id."""

    def __init__(self, prior, ids):
        self.prior = prior
        self.evidence = {id: [0.0, 0.0] for id in ids}

    def update(self, id, reward, weight=1.0):
        self.evidence[id][0] += weight * reward
        self.evidence[id][1] += weight * (1.0 - reward)

    def posterior(self, id):
        return self.prior[0] + self.evidence[id][0], self.prior[1] + self.evidence[id][1]


def thompson_scores(counts, ids, key):
    return [float(stats.beta.isf(uniform(key, uid64(id)), *counts.posterior(id))) for id in ids]


def ucb1_scores(counts, ids, alpha):
    n = [sum(counts.evidence[id]) for id in ids]
    total = max(sum(n), 1.0)
    return [
        counts.evidence[id][0] / m + (alpha and alpha * math.sqrt(2 * math.log(total) / m)) if m else math.inf
        for id, m in zip(ids, n, strict=True)
    ]


def kl(p, q):
    return float(special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q))


def kl_upper(p, level):
    if level <= 0 or p >= 1:
        return p
    if kl(p, 1 - 1e-16) <= level:
        return 1.0
    return optimize.brentq(lambda q: kl(p, q) - level, p, 1 - 1e-16, xtol=1e-15, rtol=1e-15)


def kl_ucb_scores(counts, ids, c):
    n = [sum(counts.evidence[id]) for id in ids]
    log_t = math.log(max(sum(n), 1.0))
    if log_t > 1:
        log_t += c * math.log(log_t)
    return [kl_upper(counts.evidence[id][0] / m, log_t / m) if m else math.inf for id, m in zip(ids, n, strict=True)]


def best(ids, scores, k):
    """The k best: higher score first, then smaller uid."""
    order = sorted(range(len(ids)), key=lambda i: (-scores[i], uid64(ids[i])))
    return [ids[i] for i in order[:k]]


def log_evidence(s, n, limit, a, b):
    """Log of the mixture of likelihood ratios over Beta(a, b) truncated to (limit, 1), by its definition."""
    f = n - s
    tail = stats.beta.logsf(limit, a, b)
    mixture = special.betaln(a + s, b + f) - special.betaln(a, b) + stats.beta.logsf(limit, a + s, b + f) - tail
    return mixture - s * math.log(limit) - f * math.log1p(-limit)


def stop_probability(rate, limit, mixing, alpha, look, looks):
    """Exact probability that the stop-loss fires at one of so many looks, by dynamic programming over the harms."""
    alive = np.array([1.0])
    step = stats.binom.pmf(np.arange(look + 1), look, rate)
    fired = 0.0
    for i in range(1, looks + 1):
        alive = np.convolve(alive, step)
        s = np.arange(alive.size)
        stops = log_evidence(s, i * look, limit, *mixing) >= math.log(1 / alpha)
        fired += alive[stops].sum()
        alive[stops] = 0.0
    return fired


def regret_of_thompson(means, horizon, seed):
    """Pseudo-regret of Beta(1, 1) Thompson sampling by numpy's own sampler."""
    rng = np.random.Generator(np.random.PCG64(seed))
    means = np.array(means)
    wins, losses = np.ones(means.size), np.ones(means.size)
    regret = 0.0
    for _ in range(horizon):
        arm = int(rng.beta(wins, losses).argmax())
        won = rng.random() < means[arm]
        wins[arm] += won
        losses[arm] += not won
        regret += means.max() - means[arm]
    return regret


def round_robin(lengths, total):
    """One exposure after the other, in turns; empty queues are passed over."""
    given = [0] * len(lengths)
    while total and any(g < n for g, n in zip(given, lengths, strict=True)):
        for i, n in enumerate(lengths):
            if total and given[i] < n:
                given[i] += 1
                total -= 1
    return given


def score_law(family, p, q, r):
    """Density, distribution and quantile of a score in its coordinate z, by scipy."""
    if family == "beta":
        log_norm = special.betaln(p, q)

        def density(z):
            return np.exp(p * special.log_expit(z) + q * special.log_expit(-z) - log_norm)

        def below(z):  # by the tail whose argument keeps its digits
            lower, upper = special.expit(z), special.expit(-z)
            return np.where(z < 0, special.betainc(p, q, lower), special.betaincc(q, p, upper))

        def quantile(u):
            x, y = special.betaincinv(p, q, u), special.betainccinv(q, p, u)
            return np.log(np.maximum(x, 1e-300)) - np.log(np.maximum(y, 1e-300))

        return density, below, quantile
    law = {
        "normal": lambda: stats.norm(p, q),
        "student": lambda: stats.t(r, p, q),
        "gamma": lambda: stats.loggamma(p, -math.log(q)),
        "gumbel": lambda: stats.gumbel_r(p),
    }[family]()
    return law.pdf, law.cdf, law.ppf


def top_chances(family, arms, k, nodes=40):
    """P(i among the k highest), by Gauss-Legendre between the quantiles of all arms and a recursion for each."""
    laws = [score_law(family, *arm) for arm in arms]
    tails = 10.0 ** -np.arange(1.0, 14.0)
    levels = np.concatenate([tails[::-1], np.arange(0.2, 0.9, 0.1), 1 - tails])
    cuts = np.unique(np.concatenate([quantile(levels) for _, _, quantile in laws]))
    x, w = np.polynomial.legendre.leggauss(nodes)
    half = np.diff(cuts)[:, None] / 2
    z, w = (cuts[:-1, None] + half * (1 + x)).ravel(), (half * w).ravel()
    above = [1 - below(z) for _, below, _ in laws]
    chances = []
    for i, (density, _, _) in enumerate(laws):
        counts = np.zeros((k, z.size))
        counts[0] = 1
        for j, s in enumerate(above):
            if j != i:
                shifted = np.vstack([np.zeros(z.size), counts[:-1]])
                counts = counts * (1 - s) + shifted * s
        chances.append(np.sum(w * density(z) * counts.sum(axis=0)))
    return np.array(chances)


def beta_beats(a, b, c, d):
    """P(Beta(a, b) > Beta(c, d)) for an integer a, by Evan Miller's closed sum."""
    i = np.arange(a)
    logs = special.betaln(c + i, b + d) - np.log(b + i) - special.betaln(1 + i, b) - special.betaln(c, d)
    return np.exp(logs).sum()
