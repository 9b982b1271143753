"""Oracles of evidence: each from its definition, by mpmath or in plain Python."""

import math

import mpmath as mp
import numpy as np

mp.mp.dps = 40


def _pieces(low, high, peak, spread):
    """Points that cut (low, high) so that each piece of a peaked function is smooth."""
    steps = [10.0**k for k in range(-3, 12)]
    points = {low, high, peak}
    for centre in {peak, low, high}:
        for step in steps:
            points |= {centre - step * spread, centre + step * spread}
    return sorted(p for p in points if low <= p <= high)


def _log_integral(log_density, low, high, peak, spread):
    """ln of the integral of exp(log_density) over (low, high), peaked at `peak` or monotone."""
    peak = min(max(peak, low), high)
    edge = high - low
    inside = [low + edge * mp.mpf(10) ** -30, high - edge * mp.mpf(10) ** -30, peak]
    top = max(log_density(p) for p in inside if low < p < high)
    pieces = _pieces(low, high, peak, spread)
    total = mp.mpf(0)
    for a, b in zip(pieces, pieces[1:], strict=False):
        total += mp.quad(lambda q: mp.exp(log_density(q) - top) if low < q < high else mp.mpf(0), [a, b], maxdegree=5)
    return top + mp.log(total)


def log_evidence_of_proportion(s, n, limit, a, b, above):
    """The likelihood ratio of q against the limit, averaged over Beta(a, b) cut to one side, by quadrature."""
    s, f, p, a, b = (mp.mpf(x) for x in (s, n - s, limit, a, b))
    low, high = (p, mp.mpf(1)) if above else (mp.mpf(0), p)

    def log_prior(q):
        return (a - 1) * mp.log(q) + (b - 1) * mp.log1p(-q)

    def log_both(q):
        return log_prior(q) + s * mp.log(q / p) + f * mp.log((1 - q) / (1 - p))

    def integral(log_density, x, y):
        mean = x / (x + y)
        spread = mp.sqrt(mean * (1 - mean) / (x + y + 1))
        excess = abs((x + y) * (mean - p)) / (p * (1 - p))
        return _log_integral(log_density, low, high, mean, min(spread, 1 / excess) if excess else spread)

    return float(integral(log_both, a + s, b + f) - integral(log_prior, a, b))


def log_evidence_of_rate(k, t, limit, a, b, above):
    """The Poisson likelihood ratio of r against the limit, averaged over Gamma(a, rate b) cut to one side."""
    k, t, r0, a, b = (mp.mpf(x) for x in (k, t, limit, a, b))

    def log_tail(shape, x):
        return mp.log(mp.gammainc(shape, x, mp.inf) if above else mp.gammainc(shape, 0, x))

    # the integral of r^(shape - 1) exp(-rate r) beyond the limit, by the incomplete gamma
    def log_mass(shape, rate):
        return log_tail(shape, rate * r0) - shape * mp.log(rate)

    return float(log_mass(a + k, b + t) - log_mass(a, b) - k * mp.log(r0) + t * r0)


def log_capital(values, limit, bets):
    """ln of the mean capital of bets on values above the limit."""
    return math.log(sum(math.prod(1 + bet * (x - limit) for x in values) for bet in bets) / len(bets))


def tuned(v_opt, alpha_opt):
    log = mp.log(1 / mp.mpf(alpha_opt))
    return mp.mpf(v_opt) / (2 * log + mp.log(1 + 2 * log))


def normal_mixture(s, v, rho, one_sided):
    value = mp.sqrt(rho / (v + rho)) * mp.exp(s * s / (2 * (v + rho)))
    return value * 2 * mp.ncdf(s / mp.sqrt(v + rho)) if one_sided else value


def gamma_exponential_mixture(s, v, rho, c):
    """exp(x s - v psi(x)) averaged over x in (0, 1 / c), by quadrature, u = 1 - c x ~ Gamma cut to (0, 1)."""
    prior = rho / c**2

    def integrand(u, s, v):
        # exp(x s - v psi_E(x)) u^(prior) exp(-prior u) / u at x = (1 - u) / c
        psi = (-mp.log(u) - (1 - u)) / c**2
        return mp.exp((1 - u) / c * s - v * psi + (prior - 1) * mp.log(u) - prior * u + prior)

    cuts = [mp.mpf(0), mp.mpf("0.2"), mp.mpf("0.5"), mp.mpf("0.8"), mp.mpf(1)]
    return mp.quad(lambda u: integrand(u, s, v), cuts) / mp.quad(lambda u: integrand(u, 0, 0), cuts)


def gamma_poisson_mixture(s, v, rho, c):
    """exp(x s - v psi(x)) averaged over x > 0, by quadrature, u = exp(c x) ~ Gamma cut to (1, inf)."""
    prior = rho / c**2

    def integrand(u, s, v):
        psi = (u - mp.log(u) - 1) / c**2
        return mp.exp(mp.log(u) / c * s - v * psi + (prior - 1) * mp.log(u) - prior * u + prior)

    cuts = [mp.mpf(x) for x in ("1", "1.1", "1.5", "2", "4", "10", "40")] + [mp.inf]
    return mp.quad(lambda u: integrand(u, s, v), cuts) / mp.quad(lambda u: integrand(u, 0, 0), cuts)


def beta_binomial_mixture(s, v, rho, g, h, one_sided):
    """exp(x s - v psi(x)), averaged over q = g e^(hx) / (g e^(hx) + h e^(-gx)) ~ Beta(rho', ...), by quadrature."""
    p = g / (g + h)
    m = max(rho / (g * h) - 1, mp.mpf("1e-3"))
    a, b = p * m, (1 - p) * m
    low = p if one_sided else mp.mpf(0)

    def integrand(q, s, v):
        x = (mp.log(q / (1 - q)) - mp.log(g / h)) / (g + h)
        psi = mp.log((g * mp.exp(h * x) + h * mp.exp(-g * x)) / (g + h)) / (g * h)
        return mp.exp(x * s - v * psi + (a - 1) * mp.log(q) + (b - 1) * mp.log(1 - q))

    cuts = sorted({low, mp.mpf("1e-4"), *(mp.mpf(i) / 20 for i in range(1, 20)), p, 1 - mp.mpf("1e-4"), mp.mpf(1)})
    cuts = [c for c in cuts if c >= low]
    return mp.quad(lambda q: integrand(q, s, v), cuts) / mp.quad(lambda q: integrand(q, 0, 0), cuts)


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
        if high == 0.0:
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
