"""A paced quota of one room, from its formulas, with lists in place of arrays."""


class Room:
    def __init__(self, quota, ticks, lag, memory, prior_ticks, multiplier_first):
        self.lag, self.memory = lag, memory
        self.A = prior_ticks * quota / ticks
        self.B = prior_ticks * multiplier_first
        self.multipliers = []  # the newest last
        self.seen = 0
        self.target = 0
        self.at_max = 0

    def learn(self, seen):
        came, self.seen = seen - self.seen, seen
        if len(self.multipliers) >= self.lag and self.multipliers[-self.lag] > 0.0:
            self.A = self.memory * self.A + max(came, 0)
            self.B = self.memory * self.B + self.multipliers[-self.lag]

    def push(self, target, highest, least, share, fade, served):
        per_unit = max(self.A / self.B, 1e-9)
        coming = per_unit * sum(self.multipliers[-(self.lag - 1) :]) if self.lag > 1 else 0.0
        was_highest = bool(self.multipliers) and self.multipliers[-1] >= highest
        has_failed = min(target, self.target) - self.seen - coming > 0.0
        self.at_max = self.at_max + 1 if served and was_highest and has_failed else 0
        self.target = target
        missing = max(target - self.seen - coming, 0.0)
        multiplier = 0.0
        if served and missing > 0.0:
            multiplier = min(max(share * missing / per_unit, least), highest)
            multiplier = multiplier if fade == 1.0 else 1.0 + fade * (multiplier - 1.0)
        self.multipliers.append(multiplier)
        return multiplier
