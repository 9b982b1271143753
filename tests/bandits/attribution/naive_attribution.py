"""Attribution in plain Python, from its description: lists, dicts and sorting."""

import math
from collections import Counter
from fractions import Fraction

WHOLE = 2**32


def units_of(rule, n):
    """Units of a path of n touches, the earliest first."""
    if n == 1:
        return [WHOLE]
    if rule.model == "linear":
        units = [math.floor(Fraction(WHOLE, n))] * n
    else:
        first, middle, last = (Fraction(share) for share in rule.split)
        if n == 2:
            ends = Fraction(rule.split[0] + rule.split[2])
            one = round(float(first / ends) * WHOLE) if ends else WHOLE // 2
            return [one, WHOLE - one]
        each = round(middle * WHOLE) // (n - 2)
        units = [round(first * WHOLE), *[each] * (n - 2), round(last * WHOLE)]
    largest = max(range(n), key=lambda j: (units[j], j))
    units[largest] += WHOLE - sum(units)
    return units


def applies(condition, event):
    if condition.kinds is not None and event["kind"] not in condition.kinds:
        return False
    if condition.min_value is not None and event["value"] < condition.min_value:
        return False
    if condition.max_value is not None and event["value"] > condition.max_value:
        return False
    return condition.segments is None or event["segment"] in condition.segments


def first_leaf(rules, event, channels=None):
    """(number of leaves passed over, leaf or None, its channels)."""
    passed = 0
    for rule in rules:
        own = channels if rule.channels is None else rule.channels
        if not rule.rules:
            if applies(rule.when, event):
                return passed, rule, own
            passed += 1
            continue
        inner, leaf, found = first_leaf(rule.rules, event, own)
        if leaf is not None and applies(rule.when, event):
            return passed + inner, leaf, found
        passed += count_leaves(rule.rules)
    return passed, None, None


def count_leaves(rules):
    return sum(count_leaves(rule.rules) if rule.rules else 1 for rule in rules)


class Naive:
    """What an `Attribution` of the same configuration must say; touches are dicts, so are conversions."""

    def __init__(self, config, rule_sets):
        self.config = config
        self.sets = [[each, True] for each in rule_sets]
        self.touches = []  # by arrival
        self.current, self.previous, self.born = set(), set(), None
        self.kept = []  # by arrival
        self.latest, self.gone, self.now = -math.inf, -math.inf, None
        self.counts = Counter()
        self.log = []

    def order_of(self, touch):
        return touch["at"], touch["rank"], touch["decision"], touch["item"]

    def rule_for(self, event):
        in_force = [
            (each, number)
            for number, (each, on) in enumerate(self.sets)
            if on and each.valid_from <= event["at"] < each.valid_to
        ]
        ranked = sorted(in_force, key=lambda pair: (pair[0].priority, pair[0].valid_from, pair[0].version))[::-1]
        for rule_set, number in ranked:
            place, leaf, channels = first_leaf(rule_set.rules, event)
            if leaf is not None:
                return number, place, leaf, channels
        return None

    def of_key(self, event):
        """Touches of an event's user and item, or user."""
        return [
            touch
            for touch in self.touches
            if touch["user"] == event["user"] and (self.config.join == "user" or touch["item"] == event["item"])
        ]

    def earners(self, event):
        """({(decision, item, rank): units}, the latest first; rule set, leaf; whether the path was cut or lost)."""
        found = self.rule_for(event)
        if found is None:
            return {}, None, ""
        number, place, leaf, channels = found
        names = self.config.channels
        begin = event["at"] - self.config.windows[event["kind"]]
        path, cut = [], ""
        for walked, touch in enumerate(sorted(self.of_key(event), key=self.order_of, reverse=True)):
            if touch["at"] < begin or (path and leaf.model == "last_click"):
                break
            if walked == self.config.longest_walk:
                cut = "lost"
                break
            if touch["at"] > event["at"]:
                continue
            if channels is None or (touch["rank"] > 0 and names[len(names) - touch["rank"]] in channels):
                if len(path) == self.config.longest_path:
                    cut = "cut"
                    break
                path.insert(0, touch)
        if leaf.model == "last_click":
            path = path[-1:]
        elif leaf.model == "first_click":
            path = path[:1]
        else:
            last = {(touch["decision"], touch["item"]): touch for touch in path}
            path = sorted(last.values(), key=self.order_of)
        units = units_of(leaf, len(path)) if path else []
        given = {
            (touch["decision"], touch["item"], touch["rank"]): part
            for touch, part in reversed(list(zip(path, units, strict=True)))
            if part
        }
        assert not path or sum(given.values()) == WHOLE
        return given, (number, place), cut

    def is_future(self, event):
        return self.now is not None and event["at"] > self.now + self.config.ahead

    def take_future(self, events, now):
        self.now = now if now is not None else self.now
        refused = [event for event in events if self.is_future(event)]
        self.counts["future"] += len(refused)
        for event in refused:
            self.file(("future", event.get("order", 0), event.get("decision", 0), event["item"], -1, 0, 0.0))
        return [event for event in events if event not in refused]

    def file(self, correction):
        self.log.append(correction)
        if len(self.log) > self.config.corrections:
            del self.log[0]
            self.counts["evicted_corrections"] += 1

    def touch(self, events, now=None):
        for touch in self.take_future(events, now):
            newer = sum(self.order_of(each) > self.order_of(touch) for each in self.of_key(touch))
            if newer > self.config.longest_walk:
                self.counts["buried_touches"] += 1
                continue
            if touch in self.touches:
                self.counts["duplicates"] += 1
                continue
            if len(self.touches) == self.config.touches:
                self.gone = max(self.gone, self.touches.pop(0)["at"])
                self.counts["evicted_touches"] += 1
            self.touches.append(touch)
            self.counts["touches"] += 1
            self.counts["late_touches"] += touch["at"] < self.latest - self.config.lateness
            self.latest = max(self.latest, touch["at"])

    def convert(self, events, now=None):
        """(row, order, decision, item, rank, units, rule set, leaf) of the credits; late ones go to the log."""
        credits, late = [], []
        stay = self.take_future(events, now)
        for event in stay:
            if event["order"] in self.current | self.previous:
                self.counts["duplicates"] += 1
                continue
            is_late = event["at"] < self.latest - self.config.lateness
            self.latest = max(self.latest, event["at"])
            self.born = self.latest if self.born is None else self.born
            if self.latest - self.born >= self.config.order_memory or len(self.current) >= self.config.orders:
                self.counts["evicted_orders"] += len(self.previous)
                self.current, self.previous, self.born = set(), self.current, self.latest
            self.current.add(event["order"])
            self.counts["conversions"] += 1
            self.counts["late_conversions"] += is_late
            given, code, cut = self.earners(event)
            self.counts["no_rule"] += code is None
            self.counts["unattributed"] += not given
            self.counts["cut_paths"] += cut != ""
            for (decision, item, rank), units in given.items():
                if is_late:
                    late.append(("late", event["order"], decision, item, rank, units, units / WHOLE * event["value"]))
                else:
                    credits.append((events.index(event), event["order"], decision, item, rank, units, *code))
            self.keep(event, given)
        for correction in late:
            self.file(correction)
        return credits

    def pool_left(self):
        return self.config.pool - sum(len(each["given"]) for each in self.kept)

    def drop_oldest(self):
        self.counts["evicted_conversions"] += self.kept[0]["due"] < math.inf
        self.kept[0]["given"], self.kept[0]["due"] = {}, math.inf
        del self.kept[0]

    def keep(self, event, given):
        if not self.config.passes:
            return
        while len(self.kept) == self.config.conversions or self.pool_left() < len(given):
            self.drop_oldest()
        self.kept.append({"event": event, "given": given, "done": 0, "due": event["at"] + self.config.passes[0]})

    def settle(self, now):
        """(reason, order, decision, item, rank, units, value), those filed first."""
        self.now = now
        found, self.log = self.log, []
        for each in list(self.kept):
            if not each["due"] <= now:
                continue
            event, before = each["event"], each["given"]
            delays = self.config.passes
            each["done"] = sum(event["at"] + delay <= now for delay in delays)
            each["due"] = event["at"] + delays[each["done"]] if each["done"] < len(delays) else math.inf
            self.counts["passes"] += 1
            given, _, cut = self.earners(event)
            if event["at"] - self.config.windows[event["kind"]] <= self.gone or cut == "lost":
                self.counts["blind_passes"] += 1
                each["given"] = before if each["due"] < math.inf else {}
                continue
            changes = {key: given.get(key, 0) - before.get(key, 0) for key in [*before, *given]}
            self.counts["changed"] += any(changes.values())
            for (decision, item, rank), units in changes.items():
                if units:
                    value = units / WHOLE * event["value"]
                    found.append((each["done"], event["order"], decision, item, rank, units, value))
            each["given"] = {}
            while each["due"] < math.inf and self.pool_left() < len(given):
                self.drop_oldest()
            if each["due"] < math.inf:
                each["given"] = given
        while self.kept and self.kept[0]["due"] == math.inf:
            self.drop_oldest()
        return found
