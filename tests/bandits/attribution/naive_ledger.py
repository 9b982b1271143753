"""A ledger that keeps everything and looks at all of it each time."""


class NaiveLedger:
    def __init__(self, horizon, default=0.0, late="drop", how="first"):
        self.horizon, self.default, self.late, self.how = horizon, default, late, how
        self.shown = []  # [name, arm, at, rewards [(value, at)], censored from, told, told at, is settled]
        self.waiting = []  # (name, arm, value, at)
        self.events = set()
        self.outcomes = []  # what became of each reward, when it came and when it was held no longer
        self.now = None

    def find(self, name, arm):
        return next((e for e in self.shown if e["name"] == name and e["arm"] == arm), None)

    def result(self, e):
        values = [value for value, _ in e["rewards"]]
        if not values:
            return self.default
        return {"first": values[0], "sum": sum(values), "max": max(values)}[self.how]

    def show(self, name, arm, at):
        if self.find(name, arm):
            return False
        self.shown.append(dict(name=name, arm=arm, at=at, rewards=[], cut=float("inf"), told=None, settled=False))
        for waiting in [w for w in self.waiting if w[:2] == (name, arm)]:
            self.waiting.remove(waiting)
            self.take(self.shown[-1], *waiting[2:])
        return True

    def reward(self, name, arm, value, at, event):
        if event is not None and (name, arm, event) in self.events:
            return "duplicate"
        if event is not None:
            self.events.add((name, arm, event))
        e = self.find(name, arm)
        if e is None and self.now is not None and at + self.horizon <= self.now:
            return "unknown"
        if e is None:
            self.waiting.append((name, arm, value, at))
            return "held"
        return self.take(e, value, at)

    def take(self, e, value, at):
        def outcome():
            if at < e["at"] - 5.0:
                return "early"
            if at > e["at"] + self.horizon:
                return "beyond"
            if at > e["cut"]:
                return "censored_before"
            if e["settled"] and self.late == "drop":
                return "late_dropped"
            if self.how == "first" and e["rewards"]:
                return "extra"
            if e["settled"] and e["cut"] < float("inf"):
                return "late_dropped"
            e["rewards"].append((value, at))
            return "late_corrected" if e["settled"] else "taken"

        self.outcomes.append(outcome())
        return self.outcomes[-1]

    def censor(self, name, arm, at):
        e = self.find(name, arm)
        if e and not e["settled"]:
            e["cut"] = min(e["cut"], max(at, e["at"]))

    def settle(self, now):
        """Told (arm, reward, at), and corrected (arm, old, new, at)."""
        self.now = now
        told, corrected = [], []
        for e in self.shown:
            over = e["at"] + self.horizon <= now
            if e["told"] is not None and e["told"][0] != self.result(e) and e["settled"]:
                corrected.append((e["arm"], e["told"][0], self.result(e), e["told"][1]))
                e["told"] = (self.result(e), e["told"][1])
            if e["told"] is None and not e["settled"]:
                if self.how == "first" and e["rewards"]:
                    e["told"] = (e["rewards"][0][0], max(e["rewards"][0][1], e["at"]))
                    told.append((e["arm"], *e["told"]))
                elif over and e["cut"] == float("inf"):
                    e["told"] = (self.result(e), e["at"] + self.horizon)
                    told.append((e["arm"], *e["told"]))
            e["settled"] |= over
        return sorted(told, key=repr), sorted(corrected, key=repr)

    def seen(self, arm, now):
        """Age of each exposure of an arm as far as it was looked at, and its reward."""
        pairs = []
        for e in self.shown:
            if e["arm"] == arm:
                end = max([e["cut"]] + [at for _, at in e["rewards"]]) if e["cut"] < float("inf") else now
                value = e["rewards"][0][0] if e["rewards"] else 0.0
                pairs.append(
                    (self.horizon if e["settled"] and e["cut"] == float("inf") else min(end, now) - e["at"], value)
                )
        return pairs
