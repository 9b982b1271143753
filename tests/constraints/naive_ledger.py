"""Ledger of what was truly served and spent, in plain Python: of a budget it knows the promise, not the accounts."""

import math


class Shown:
    """An exposure: what it may cost at most, and what it did cost, once that is told."""

    def __init__(self, number, arm, account, most, now, expiry):
        self.number, self.arm, self.account, self.most, self.now = number, arm, account, most, now
        self.expires = now + expiry
        self.told, self.is_refunded = [], False

    @property
    def cost(self):
        if self.is_refunded:
            return sum(self.told)
        return sum(self.told) if self.told else self.most


class NaiveBudget:
    """What the exposures of one budget truly cost, and the most that they may."""

    def __init__(self, budget):
        self.budget = budget
        self.shown, self.excess, self.granted = [], {}, {}

    def serve(self, number, arm, creator, price, now):
        account = {None: None, "creator": creator, "arm": arm}[self.budget.by]
        most = price if self.budget.cost == "price" else self.budget.cost
        self.shown.append(Shown(number, arm, account, most, now, self.budget.expiry))

    def tell(self, arm, share, cost, number, latest):
        """What one exposure of an arm cost, a share of the most if by reward: of a decision, or else the oldest."""
        if self.budget.per == "exposure" or (self.budget.per == "feedback" and cost is None):
            return
        for each in self.shown:
            is_open = not each.told and not each.is_refunded and each.expires > latest
            if each.arm == arm and (is_open if number is None else each.number == number):
                if number is not None and each.expires <= latest:
                    return
                actual = share * each.most if self.budget.per == "reward" else cost
                beyond = actual if each.is_refunded else sum(each.told) + actual - each.most
                each.told.append(actual)
                self.excess[each.account] = self.excess.get(each.account, 0.0) + max(0.0, beyond)
                return

    def refund(self, number, arms):
        for each in self.shown:
            if each.number == number and (arms is None or each.arm in arms) and not each.is_refunded:
                each.is_refunded, each.told = True, []

    def window_at(self, now):
        return 0 if self.budget.window is None else math.floor(now / self.budget.window)

    def grant(self, amount, now):
        window = self.window_at(now)
        self.granted[window] = self.granted.get(window, 0) + amount

    def check(self, now, is_serving):
        """No account holds more than it may; where something was served just now, not more than by its pacing."""
        budget, window, spent = self.budget, self.window_at(now), {}
        for each in self.shown:
            if self.window_at(each.now) == window:
                spent[each.account] = spent.get(each.account, 0.0) + each.cost
        bound = budget.limit if not budget.leased else self.granted.get(window, 0)
        if budget.rate:
            bound += budget.rate * (now - min((each.now for each in self.shown), default=now))
        if budget.curve and is_serving:
            assert budget.curve == (0.0, 1.0)
            bound *= now / budget.window - window
        for account, units in spent.items():
            assert units <= bound + self.excess.get(account, 0.0) + 1e-9, (budget.name, account, units, bound)
