"""The rule of conservative bandits once more, from the mathematics: every sum anew at every step."""

import math

from scipy import optimize, special


def beta_binomial_low(successes, n, alpha):
    """Lower end of the beta-binomial confidence sequence that mixes with Beta(1/2, 1/2)."""
    failures = n - successes
    if successes == 0:
        return 0.0

    def excess(log_p):
        ratio = special.betaln(0.5 + successes, 0.5 + failures) - special.betaln(0.5, 0.5)
        return ratio - successes * log_p - special.xlog1py(failures, -math.exp(log_p)) + math.log(alpha)

    top = math.log(successes / n) if failures else 0.0
    return math.exp(optimize.brentq(excess, -1e6, top, xtol=1e-14, rtol=1e-14))


class Conservative:
    """Arms by id; bounds never become worse."""

    def __init__(self, baseline, mean, alpha, delta):
        self.baseline, self.mean, self.alpha, self.delta = baseline, mean, alpha, delta
        self.heard, self.plays, self.rewards, self.lows, self.highs = [], {}, {}, {}, {}
        self.has_met = False

    def note(self, arm):
        if arm not in self.heard:
            self.heard.append(arm)

    def serve(self, arm):
        self.note(arm)
        self.plays[arm] = self.plays.get(arm, 0) + 1

    def learn(self, arm, reward):
        self.note(arm)
        self.rewards.setdefault(arm, []).append(reward)
        rank = 1 + self.heard.index(arm)
        n, total = len(self.rewards[arm]), math.fsum(self.rewards[arm])
        share = self.delta / (rank * (rank + 1))
        self.lows[arm] = max(self.lows.get(arm, 0.0), beta_binomial_low(total, n, share))
        self.highs[arm] = min(self.highs.get(arm, 1.0), 1.0 - beta_binomial_low(n - total, n, share))

    def interval(self):
        if self.mean is not None:
            return self.mean, self.mean
        return self.lows.get(self.baseline, 0.0), self.highs.get(self.baseline, 1.0)

    def margin(self, arm, k):
        """Least surplus over all means of the baseline that are possible, if k arms like this one are served."""
        total = sum(self.plays.values()) + k
        others = sum(n * self.lows.get(a, 0.0) for a, n in self.plays.items() if a != self.baseline)
        own = self.plays.get(self.baseline, 0)
        return min(
            others + k * self.lows.get(arm, 0.0) + (own - (1 - self.alpha) * total) * mu for mu in self.interval()
        )

    def is_safe(self, arm, k):
        return arm == self.baseline or self.margin(arm, k) >= 0
