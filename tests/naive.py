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


def normals(ids, key):
    """Standard normals of a decision, by inversion of each arm's uniform."""
    return stats.norm.isf([uniform(key, uid64(id)) for id in ids])


class Ridge:
    """Ridge regression by its definition; the evidence may count half after each half-life, the ridge never does."""

    def __init__(self, d, ridge, half_life=math.inf):
        self.d, self.ridge, self.half_life = d, ridge, half_life
        self.events, self.known = [], None

    def update(self, x, reward, weight=1.0, at=0.0):
        self.known = None
        self.events.append((np.asarray(x, dtype=float), reward, weight, at))

    def normal_equations(self, now=0.0):
        if self.known is None or self.known[0] != now:
            evidence, moment = np.zeros((self.d, self.d)), np.zeros(self.d)
            for x, reward, weight, at in self.events:
                w = weight * 0.5 ** ((now - at) / self.half_life)
                evidence += w * np.outer(x, x)
                moment += w * reward * x
            self.known = now, evidence, moment
        return self.known[1:]

    def predict(self, x, now=0.0, ridge=None):
        """Means and variances at the rows of x."""
        evidence, moment = self.normal_equations(now)
        a, x = evidence + (ridge or self.ridge) * np.eye(self.d), np.atleast_2d(x)
        return x @ np.linalg.solve(a, moment), np.sum(x * np.linalg.solve(a, x.T).T, axis=1)

    def covariance(self, x):
        """Covariance of the predictions at the rows of x."""
        evidence, _ = self.normal_equations()
        return x @ np.linalg.solve(evidence + self.ridge * np.eye(self.d), x.T)

    def predict_by_orthogonal_factors(self, x):
        """The same, from the design itself: only the root of the condition number is lost."""
        roots = np.sqrt([w for _, _, w, _ in self.events])
        design = np.vstack([roots[:, None] * [x for x, *_ in self.events], math.sqrt(self.ridge) * np.eye(self.d)])
        q, r = np.linalg.qr(design)
        theta = np.linalg.solve(r, q.T @ np.append(roots * [reward for _, reward, *_ in self.events], np.zeros(self.d)))
        return x @ theta, np.sum(np.linalg.solve(r.T, np.atleast_2d(x).T) ** 2, axis=0)


class Hybrid:
    """Li et al. (2010), Algorithm 2 line by line, with weights and a ridge."""

    def __init__(self, ids, d, m, ridge):
        self.a0, self.b0 = ridge * np.eye(m), np.zeros(m)
        self.a = {id: ridge * np.eye(d) for id in ids}
        self.big_b = {id: np.zeros((d, m)) for id in ids}
        self.b = {id: np.zeros(d) for id in ids}

    def update(self, id, x, z, reward, weight):
        self._add_own_part(id, 1.0)
        self.a[id] += weight * np.outer(x, x)
        self.big_b[id] += weight * np.outer(x, z)
        self.b[id] += weight * reward * x
        self.a0 += weight * np.outer(z, z)
        self.b0 += weight * reward * z
        self._add_own_part(id, -1.0)

    def _add_own_part(self, id, sign):
        self.a0 += sign * self.big_b[id].T @ np.linalg.solve(self.a[id], self.big_b[id])
        self.b0 += sign * self.big_b[id].T @ np.linalg.solve(self.a[id], self.b[id])

    def predict(self, id, x, z):
        inv0, inv, big_b = np.linalg.inv(self.a0), np.linalg.inv(self.a[id]), self.big_b[id]
        beta = inv0 @ self.b0
        theta = inv @ (self.b[id] - big_b @ beta)
        variance = z @ inv0 @ z - 2 * z @ inv0 @ big_b.T @ inv @ x
        variance += x @ inv @ x + x @ inv @ big_b @ inv0 @ big_b.T @ inv @ x
        return z @ beta + x @ theta, variance


def joint_row(arm, arms, x, z):
    """Design row of the hybrid model as one regression over (beta, theta_1, ..., theta_K)."""
    own = np.zeros((arms, len(x)))
    own[arm] = x
    return np.concatenate([z, own.ravel()])


def decayed(events, half_life, now):
    """Events (reward, weight, time) as (reward, weight now)."""
    return [(reward, weight * 0.5 ** ((now - at) / half_life)) for reward, weight, at in events]


def student_of(prior, events):
    """Murphy (2007), normal-inverse-gamma: degrees of freedom, location and scale of the mean's Student law."""
    mean, strength, shape, rate = prior
    n = math.fsum(w for _, w in events)
    if n > 0:
        x = math.fsum(w * r for r, w in events) / n
        squares = math.fsum(w * (r - x) ** 2 for r, w in events)
        rate += squares / 2 + strength * n * (x - mean) ** 2 / (2 * (strength + n))
        mean, strength, shape = (strength * mean + n * x) / (strength + n), strength + n, shape + n / 2
    return 2 * shape, mean, math.sqrt(rate / (shape * strength))


def gamma_of(prior, events):
    """Shape and rate of a Gamma posterior of a rate."""
    return prior[0] + math.fsum(w * r for r, w in events), prior[1] + math.fsum(w for _, w in events)


def bayes_tail(events, c):
    """`1 / (t (ln t)^c)` of Bayes-UCB, at most 1/2."""
    t = events + 1
    return min(0.5, 1 / (t * max(math.log(t), 1.0) ** c))


def kl_poisson(p, q):
    return float(q - p + special.xlogy(p, p / q))


def kl_upper_poisson(p, level):
    if level <= 0:
        return p
    high = p + level + math.sqrt(2 * p * level) + 1.0  # Bernstein's bound: kl there is beyond the level
    return optimize.brentq(lambda q: kl_poisson(p, q) - level, max(p, 1e-300), high, xtol=1e-15, rtol=1e-15)


def moments_of(events):
    """Weight, mean and mean square about it of (reward, weight)."""
    n = math.fsum(w for _, w in events)
    mean = math.fsum(w * r for r, w in events) / n
    return n, mean, math.fsum(w * (r - mean) ** 2 for r, w in events) / n


def kl_level(total, c):
    log_t = math.log(max(total, 1.0))
    return log_t + (c * math.log(log_t) if log_t > 1 else 0.0)


def exp3_chances(sums, gamma, eta):
    e = [math.exp(eta * (s - max(sums))) for s in sums]
    return [(1 - gamma) * x / math.fsum(e) + gamma / len(e) for x in e]


def race_chances(rates, k):
    """P(i among the k first) of exponential clocks, over all orders: Plackett and Luce."""
    if k == 0:
        return np.zeros(len(rates))
    chances = np.zeros(len(rates))
    for i, rate in enumerate(rates):
        rest = [j for j in range(len(rates)) if j != i]
        p = rate / math.fsum(rates)
        chances[i] += p
        chances[rest] += p * race_chances([rates[j] for j in rest], k - 1)
    return chances


def epsilon_greedy_chances(count, epsilon, k):
    """P(taken) of the best arm, of the second, ...: over every course of the k slots."""
    chances = np.zeros(count)

    def fill(left, slots, weight):
        if slots:
            for position, arm in enumerate(left):
                p = weight * (epsilon / len(left) + (1 - epsilon) * (position == 0))
                chances[arm] += p
                fill(left[:position] + left[position + 1 :], slots - 1, p)

    fill(list(range(count)), k, 1.0)
    return chances


def top_two_choice(draw, beta, rounds, rng):
    """One choice from `draw()`, the scores of all arms."""
    leader = int(draw().argmax())
    if rng.random() < beta:
        return leader
    for _ in range(rounds):
        scores = draw()
        if scores.argmax() != leader:
            return int(scores.argmax())
    return int(scores.argsort()[-2])


def frequencies_fit(counts, n, chances):
    """Whether each count is one of Binomial(n, chance): exact tails, beyond the one-sided 5 sigma of a normal."""
    tails = np.minimum(stats.binom.cdf(counts, n, chances), stats.binom.sf(np.asarray(counts) - 1, n, chances))
    return bool((tails > stats.norm.sf(5)).all())


class EventLogs:
    """Every event of every replica's epoch, in order; what a bandit must know follows from what it has heard of."""

    def __init__(self):
        self.logs = {}
        self.memory = None

    def start(self, name):
        self.logs.setdefault(name, [])

    def append(self, name, arm, reward, weight):
        self.start(name)
        self.logs[name].append((arm, reward, weight))

    def own(self, name, live):
        """Events of a name that were not taken back."""
        kept = []
        for arm, reward, weight in self.logs.get(name, []):
            if weight > 0:
                kept.append((arm, reward, weight))
            else:
                kept.remove((arm, reward, -weight))
        return [event for event in kept if event[0] in live]

    def last_epoch(self, replica):
        return max((epoch for name, epoch in self.logs if name == replica), default=0)

    def check(self, bandit):
        """Compare a bandit of Beta models with the events that it has heard of."""
        heard = {**bandit.heard, (bandit.replica, bandit.epoch): bandit.learnt}
        events = [event for name, seq in heard.items() for event in self.logs.get(name, [])[:seq]]
        means, weights, _ = bandit.evidence(bandit.arms)
        for arm, mean, weight in zip(bandit.arms, means.tolist(), weights.tolist(), strict=True):
            total = sum(w for id, _, w in events if id == arm)
            rewards = sum(w * r for id, r, w in events if id == arm)
            assert (weight, mean) == (total, rewards / total if total else 0.0), (arm, heard)
        assert bandit.updates == sum(heard.values()) == len(events)

    def remembered(self, state):
        """The first state of all that were asked about."""
        if self.memory is None:
            self.memory = state
        return self.memory
