"""Oracles of soft budgets and knapsacks, in plain Python, from the mathematics."""

import itertools
import math

import numpy as np


class NaiveDual:
    """A dual price that remembers every exposure.

    limit and decisions; or rate, with decisions as its memory; window in seconds or None.
    """

    def __init__(
        self, *, limit=None, rate=None, decisions=5_000, window=None, sign=1, step=1.0, largest=2.0, outage=300.0
    ):
        self.limit, self.rate, self.decisions, self.window, self.sign = limit, rate, decisions, window, sign
        self.rho = rate if limit is None else limit / decisions
        self.eta, self.largest, self.outage = step / math.sqrt(decisions), largest, outage
        self.multiplier, self.spent, self.lapsed, self.made = 0.0, 0.0, 0.0, 0
        self.awaited = {}  # by arm, a list of expected costs
        self.times, self.squares = [], [1.0]
        self.index, self.first = None, 0

    def traffic(self):
        """Decisions a second: past ones and the forecast, weighted by exp(-age / memory)."""
        memory = self.window / 10.0
        latest = max(self.times)
        count = sum(math.exp(-(latest - t) / memory) for t in self.times)
        seconds = memory * (1.0 - math.exp(-(latest - min(self.times)) / memory))
        fade = math.exp(-(latest - min(self.times)) / memory)
        return (count + fade * self.decisions * memory / self.window) / (seconds + fade * memory)

    def target(self):
        used = self.spent + sum(map(sum, self.awaited.values())) + self.lapsed
        most = 2 * self.rho
        if self.rate is not None:
            each = self.rho + (self.rho * self.made - used) / self.decisions
        elif self.window is None or not self.times:
            each = (self.limit - used) / max(self.decisions - self.made, 1)
        else:
            left = (self.index + 1) * self.window - max(self.times)
            each = (self.limit - used) / max(self.traffic() * left, 1)
            most = 2 * self.limit / (self.traffic() * self.window)
        return min(max(each, 0.0), most)

    def serve(self, arms, expected, is_awaited, number, now):
        if now > -math.inf:
            if self.window is not None and (self.index is None or math.floor(now / self.window) > self.index):
                self.index, self.first = math.floor(now / self.window), number
                self.spent, self.made, self.awaited = 0.0, 0, {}
            self.times.append(now)
        cost = sum(expected)
        seen = min(len(self.squares), self.decisions)
        self.squares.append(self.squares[-1] + ((cost / self.rho) ** 2 - self.squares[-1]) / (seen + 1))
        g = max(1.0, math.sqrt(self.squares[-1]))
        self.multiplier += self.sign * self.eta * (cost - self.target()) / self.rho / g
        self.multiplier = min(max(self.multiplier, 0.0), self.largest)
        self.made += 1
        for arm, each in zip(arms, expected, strict=True):
            if is_awaited:
                self.awaited.setdefault(arm, []).append(each)
            else:
                self.spent += each
        if self.rate is not None:
            used = self.spent + sum(map(sum, self.awaited.values())) + self.lapsed
            surplus = self.sign * (self.rho * self.made - used)
            self.lapsed += self.sign * max(surplus - 2 * self.rho * self.decisions, 0.0)

    def settle(self, arm, cost, number):
        """The exposures of an arm are alike: each is expected to cost the mean of them."""
        if number is not None and number < self.first:
            return
        waiting = self.awaited.get(arm, [])
        if waiting:
            mean = sum(waiting) / len(waiting)
            self.awaited[arm] = [mean] * (len(waiting) - 1)
        self.spent += cost


def best_value(rewards, costs, rho):
    """Largest `sum x r` under `sum x c_j <= rho_j`, `sum x <= 1`, `x >= 0`: the best vertex, by trying all.

    rewards `[C]`, costs `[J][C]`, rho `[J]`. A vertex has as many arms as bounds that are met exactly.
    """
    rows = np.array([*costs, [1.0] * len(rewards)])
    room = np.array([*rho, 1.0])
    best = 0.0
    for n in range(1, len(room) + 1):
        for arms in itertools.combinations(range(len(rewards)), n):
            for tight in itertools.combinations(range(len(room)), n):
                part = rows[np.ix_(tight, arms)]
                if abs(np.linalg.det(part)) < 1e-12:
                    continue
                x = np.linalg.solve(part, room[list(tight)])
                if (x >= -1e-12).all() and (rows[:, arms] @ x <= room + 1e-12).all():
                    best = max(best, float(np.asarray(rewards)[list(arms)] @ x))
    return best
