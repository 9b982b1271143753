"""A ledger that forgets nothing: every unit taken or given back is kept with its account, window and time."""

import math
from fractions import Fraction


class NaiveBudget:
    """What a `Budget` must say, summed anew each time from all that happened. Accounts and arms go by their names."""

    def __init__(self, budget):
        self.budget = budget
        self.steps = []  # [account, window, time, units], in the order of what happened
        self.exposures = []
        self.latest = {}  # arm -> account and cost of its latest exposure
        self.overrun = {}
        self.now = None

    def window(self):
        return None if self.budget.window is None or self.now is None else self.now // self.budget.window

    def pass_to(self, now):
        if self.now is None:
            is_lost = self.budget.per == "exposure" and self.budget.window is not None
            for exposure in self.exposures:
                exposure["expires"] = now if is_lost else now + self.budget.expiry
            for step in self.steps:
                step[2] = now
        self.now = now
        self.expire(now)

    def expire(self, at):
        for exposure in self.exposures:
            if exposure["is_known"] and exposure["expires"] <= at:
                if exposure["is_open"] and self.budget.expired == "released":
                    self.take(exposure["account"], exposure["window"], -exposure["held"])
                exposure["is_known"] = exposure["is_open"] = False

    def take(self, account, window, units):
        self.steps.append([account, window, self.now, units])
        if units > 0:
            excess = self.used(account) - Fraction(self.budget.limit)
            self.overrun[account] = self.overrun.get(account, 0) + max(0, min(excess, units))

    def used(self, account):
        if self.budget.rate is None:
            here = self.window()
            return sum(units for a, window, _, units in self.steps if a == account and window == here)
        # a bucket's level by reflection: X(now) - min over the past of X, X(t) = taken by t - rate * t, and 0 at first
        path, taken, start = [Fraction(0)], Fraction(0), None
        for a, _, time, units in self.steps:
            if a == account:
                start = time if start is None else start
                passed = 0 if time is None else Fraction(time) - Fraction(start)
                path.append(taken - Fraction(self.budget.rate) * passed)
                taken += units
                path.append(taken - Fraction(self.budget.rate) * passed)
        passed = 0 if start is None else Fraction(self.now) - Fraction(start)
        path.append(taken - Fraction(self.budget.rate) * passed)
        return path[-1] - min(path)

    def reserved(self, account):
        here = self.window()
        return sum(
            e["held"] for e in self.exposures if e["account"] == account and e["is_open"] and e["window"] == here
        )

    def share(self):
        curve = self.budget.curve
        if curve is None or self.now is None:
            return Fraction(1)
        window = Fraction(self.budget.window)
        place = (Fraction(self.now) / window - self.now // self.budget.window) * (len(curve) - 1)
        i = math.floor(place)
        return Fraction(curve[i]) + (place - i) * (Fraction(curve[i + 1]) - Fraction(curve[i]))

    def serve(self, number, arm, account, cost):
        cost, end = Fraction(cost), None
        if self.now is not None:
            end = self.now + self.budget.expiry
            if self.budget.per == "exposure" and self.budget.window is not None:
                end = min(end, (self.window() + 1) * self.budget.window)
        self.take(account, self.window(), cost)
        self.latest[arm] = (account, cost)
        self.exposures.append(
            {
                "number": number,
                "arm": arm,
                "account": account,
                "window": self.window(),
                "cost": cost,
                "held": cost,
                "expires": end if end is not None else math.inf,
                "is_known": True,
                "is_open": self.budget.per != "exposure",
                "is_refunded": False,
            }
        )

    def feedback(self, number, arm, value, at):
        """Value: the cost, or the share of what was reserved."""
        self.expire(at)
        is_share = self.budget.per == "reward"
        known = [e for e in self.exposures if e["is_known"] and e["arm"] == arm]
        found = [e for e in known if (e["is_open"] if number is None else e["number"] == number)]
        if found:
            exposure = found[0]
            actual = Fraction(value) * (exposure["cost"] if is_share else 1)
            left = actual - exposure["held"] if exposure["is_open"] else actual
            self.take(exposure["account"], exposure["window"] if left < 0 else self.window(), left)
            exposure["held"] = actual if exposure["is_open"] else exposure["held"] + actual
            exposure["is_open"] = False
        elif self.budget.expired == "released" and arm in self.latest:
            account, cost = self.latest[arm]
            self.take(account, self.window(), Fraction(value) * (cost if is_share else 1))

    def refund(self, number, arm=None):
        total = 0
        for e in self.exposures:
            if e["is_known"] and e["number"] == number and arm in (None, e["arm"]) and not e["is_refunded"]:
                self.take(e["account"], e["window"], -e["held"])
                total += e["held"]
                e.update(held=Fraction(0), is_open=False, is_refunded=True)
        return total
