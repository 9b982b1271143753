"""Oracles of evidence: each from its definition, by mpmath or in plain Python."""

import math

import mpmath as mp
import numpy as np
from scipy import special

mp.mp.dps = 40


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(30)


def _log_integral(log_density, length, peaks):
    """ln of the integral over (0, length) of exp(log_density(d, e)), e = length - d, by Gauss-Legendre.

    Each half is measured from its own end, and cut into pieces that shrink towards the ends and the peaks.
    """
    logs = []
    for from_start in (True, False):
        half = 0.5 * length
        cuts = {0.0, half, *(half * 2.0**-k for k in range(1, 100))}
        for peak, spread in peaks:
            at = peak if from_start else length - peak
            cuts |= {at + sign * spread * 2.0 ** (k / 2) for sign in (-1, 1) for k in range(-10, 80)} | {at}
        edges = np.array(sorted(c for c in cuts if 0.0 <= c <= half))
        middle, width = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
        x = (middle[:, None] + width[:, None] * _NODES).ravel()
        w = (width[:, None] * _WEIGHTS).ravel()
        x, w = x[w > 0], w[w > 0]
        logs.append((log_density(x, length - x) if from_start else log_density(length - x, x)) + np.log(w))
    return special.logsumexp(np.concatenate(logs))


def log_evidence_of_proportion(s, n, limit, a, b, above):
    """The likelihood ratio of q against the limit, averaged over Beta(a, b) cut to one side, by quadrature."""
    f = n - s

    def integral(s, f):
        def log_density(d, e):  # of q, at a distance d from the limit and e from the end
            q, rest = (limit + d, e) if above else (e, 1 - limit + d)
            sign = 1 if above else -1
            ratio = s * np.log1p(sign * d / limit) if above else s * np.log(e / limit)
            ratio = ratio + (f * np.log(e / (1 - limit)) if above else f * np.log1p(d / (1 - limit)))
            near = d < e  # the logarithm of a ratio near 1
            exact = s * np.log1p(sign * d / limit) + f * np.log1p(-sign * d / (1 - limit))
            return (a - 1) * np.log(q) + (b - 1) * np.log(rest) + np.where(near, exact, ratio)

        with np.errstate(divide="ignore", invalid="ignore"):
            mean, total = (a + s) / (a + b + s + f), a + b + s + f
            peak = (mean - limit) if above else (limit - mean)
            excess = abs(total * (mean - limit)) / (limit * (1 - limit))
            spread = math.sqrt(mean * (1 - mean) / total)
            peaks = [(max(peak, 0.0), spread)] + ([(0.0, 1 / excess)] if excess else [])
            return _log_integral(log_density, 1 - limit if above else limit, peaks)

    return integral(s, f) - integral(0, 0)


def log_evidence_of_rate(k, t, limit, a, b, above):
    """The Poisson likelihood ratio of r against the limit, averaged over Gamma(a, rate b) cut to one side."""

    def integral(k, t):
        shape, rate = a + k, b + t
        mean, spread = shape / rate, math.sqrt(shape) / rate

        def log_density(d, e):
            if above:
                r, ratio = limit + d, k * np.log1p(d / limit) - t * d
            else:
                r, ratio = e, k * np.where(d < e, np.log1p(-d / limit), np.log(e / limit)) + t * d
            return (a - 1) * np.log(r) - b * r + ratio

        with np.errstate(divide="ignore", invalid="ignore"):
            peak = max(mean - limit if above else limit - mean, 0.0)
            excess = abs(rate - shape / limit)
            peaks = [(peak, spread)] + ([(0.0, 1 / excess)] if excess else [])
            return _log_integral(log_density, peak + 150 * (spread + 1 / rate) if above else limit, peaks)

    return integral(k, t) - integral(0, 0)


def log_capital(values, limit, bets):
    """ln of the mean capital of bets on values above the limit."""
    return math.log(sum(math.prod(1 + bet * (x - limit) for x in values) for bet in bets) / len(bets))


def tuned(v_opt, alpha_opt):
    log = mp.log(1 / mp.mpf(alpha_opt))
    return mp.mpf(v_opt) / (2 * log + mp.log(1 + 2 * log))


def normal_mixture(s, v, rho, one_sided):
    value = mp.sqrt(rho / (v + rho)) * mp.exp(s * s / (2 * (v + rho)))
    return value * 2 * mp.ncdf(s / mp.sqrt(v + rho)) if one_sided else value


def log_gamma_exponential_mixture(s, v, rho, c):
    """As published: gamma functions and regularised lower incomplete gammas."""
    prior, shape, point = rho / c**2, (v + rho) / c**2, (c * s + v + rho) / c**2

    def part(a, x):
        return mp.log(mp.gammainc(a, 0, x)) - a * mp.log(x)

    return part(shape, point) - part(prior, prior) + (c * s + v) / c**2


def log_gamma_poisson_mixture(s, v, rho, c):
    """As published: gamma functions and regularised upper incomplete gammas."""
    prior, shape, point = rho / c**2, s / c + (v + rho) / c**2, (v + rho) / c**2

    def part(a, x):
        return mp.log(mp.gammainc(a, x, mp.inf)) - a * mp.log(x)

    return part(shape, point) - part(prior, prior) + v / c**2


def log_beta_binomial_mixture(s, v, rho, g, h, one_sided):
    """As published: complete or incomplete beta functions, with r = rho - g h."""
    r = max(rho - g * h, g * h / 1000)
    top = h / (g + h) if one_sided else mp.mpf(1)

    def log_beta(a, b):
        return mp.log(mp.betainc(a, b, 0, top)) if one_sided else mp.log(mp.beta(a, b))

    a, b = r / (g * (g + h)), r / (h * (g + h))
    failures, successes = (v / g - s) / (g + h), (v / h + s) / (g + h)
    ratio = log_beta(a + failures, b + successes) - log_beta(a, b)
    return v / (g * h) * mp.log(g + h) - successes * mp.log(g) - failures * mp.log(h) + ratio


def log_share_mixture(s, f, a, b, p):
    """ln [B(a + s, b + f) / B(a, b) p^-s (1 - p)^-f]."""
    s, f, a, b, p = (mp.mpf(x) for x in (s, f, a, b, p))

    def log_beta(x, y):
        return mp.loggamma(x) + mp.loggamma(y) - mp.loggamma(x + y)

    return log_beta(a + s, b + f) - log_beta(a, b) - s * mp.log(p) - f * mp.log(1 - p)


def betting_ends(values, alpha, bets):
    """Ends of the hedged-capital sequence by bisection on the values themselves."""

    def log_capital_against(xs, m):
        logs = [sum(math.log1p(bet * (x / m - 1)) for x in xs) for bet in bets]
        top = max(logs)
        return top + math.log(sum(math.exp(log - top) for log in logs) / len(logs))

    def lower(xs):
        low, high = 0.0, sum(xs) / len(xs)
        if high < 1e-300:  # below, x / m leaves float64
            return 0.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if log_capital_against(xs, middle) >= math.log(2 / alpha) else (low, middle)
        return low

    return lower(values), 1.0 - lower([1.0 - x for x in values])


def largest_consistent(scores, before):
    """The largest r such that r of the scores are at least 1 / (before + r), by trying each r."""
    best = set()
    for r in range(1, len(scores) + 1):
        fits = {i for i, score in enumerate(scores) if score * (before + r) >= 1}
        if len(fits) >= r:
            best = set(sorted(fits, key=lambda i: -scores[i])[:r])
    return best


def bernstein_counts(values):
    counts = [0.0, 0.0, 0.0]
    for x in values:
        centre = (0.5 + counts[1]) / (1.0 + counts[0])
        counts = [counts[0] + 1, counts[1] + x, counts[2] + (x - centre) ** 2]
    return np.array(counts)
