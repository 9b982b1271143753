"""Attribution beside plain Python over random histories: ties, duplicates, late, out of order, evictions of all."""

import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from bandits.attribution.histories import ENDLESS, column, configs, conversions, copy, touches, versions
from bandits.attribution.naive_attribution import Naive
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.attribution import histories
from seedbed.bandits.attribution import Attribution, Tally
from seedbed.bandits.attribution._table import COUNTS

steps = st.one_of(
    st.tuples(st.just("touch"), st.lists(touches, max_size=6), st.none() | st.integers(0, 8)),
    st.tuples(st.just("convert"), st.lists(conversions, max_size=4), st.none() | st.integers(0, 8)),
    st.tuples(st.just("settle"), st.integers(0, 12)),
    st.tuples(st.just("rules"), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("copy")),
)


def play(attribution, naive, history):
    """Both at once; the attribution may be exchanged for its copy."""
    now = 0
    for step in history:
        if step[0] in ("touch", "convert"):
            _, events, delta = step
            now += delta or 0
            present = None if delta is None else float(now)
            if step[0] == "touch":
                histories.touch(attribution, events, present)
                naive.touch(events, present)
            else:
                credits = histories.convert(attribution, events, present)
                assert histories.named_credits(credits) == naive.convert(events, present)
                assert (credits.value == credits.share * column(events, "value", float)[credits.row]).all()
                assert (credits.at == column(events, "at", float)[credits.row]).all()
        elif step[0] == "settle":
            now += step[1]
            found = attribution.settle(float(now))
            assert histories.named_corrections(found) == naive.settle(float(now))
        elif step[0] == "rules":
            switch(attribution, naive, *step[1:])
        else:
            attribution = copy(attribution)
        assert attribution.counts == {name: naive.counts[name] for name in COUNTS}
        assert (len(attribution), attribution.kept) == (len(naive.touches), len(naive.kept))
    return attribution


def switch(attribution, naive, number, on):
    if number >= len(naive.sets):
        return
    if on:
        attribution.activate(naive.sets[number][0])
    elif naive.sets[number][1]:
        attribution.deactivate(naive.sets[number][0].version)
    naive.sets[number][1] = on


@settings(max_examples=150)
@given(configs(), versions(), st.lists(steps, max_size=14))
def test_as_the_oracle(config, rule_sets, history):
    play(Attribution(config, rule_sets), Naive(config, rule_sets), history)


@settings(max_examples=80)
@given(configs(**ENDLESS, corrections=5_000), versions(), st.lists(steps, min_size=6, max_size=20))
def test_as_the_oracle_with_room_for_all(config, rule_sets, history):
    play(Attribution(config, rule_sets), Naive(config, rule_sets), history)


def test_as_the_oracle_over_long_histories():
    """Rings wrap many times, tables shift back, chains lose their heads, middles and ends."""
    seen = Counter()
    for seed in range(16):
        draw = random.Random(seed)
        config = histories.AttributionConfig(
            windows={"order": 30.0, "gift": 3.0}, lateness=10.0, channels=histories.CHANNELS,
            join=draw.choice(("user", "user_item")), touches=draw.choice((48, 300, 900)), conversions=30,
            credits=(60, 20)[seed % 2],
            orders=20, longest_path=(50, 2)[seed % 2], longest_walk=(50, 2)[seed % 2], passes=(20.0, 50.0),
            order_memory=60.0,
        )  # fmt: skip
        model = ("linear", "position", "first_click", "last_click")[seed // 2 % 4]
        rule_sets = [histories.RuleSet(version="v", rules=(histories.Rule(model=model),))]
        attribution, naive = Attribution(config, rule_sets), Naive(config, rule_sets)
        for tick in range(60):
            at = [float(tick * 5 + draw.randint(-15, 5)) for _ in range(30)]
            some = [
                {"user": draw.randrange(40), "item": draw.randrange(2), "at": each, "decision": draw.randrange(50),
                 "rank": draw.randrange(4)} for each in at
            ]  # fmt: skip
            histories.touch(attribution, some + some[:5])
            naive.touch(some + some[:5])
            ordered = [
                {"order": draw.randrange(10**6), "user": draw.randrange(40), "item": draw.randrange(2), "at": each,
                 "kind": draw.choice(histories.KINDS), "value": 1.0, "segment": 0} for each in at[:8]
            ]  # fmt: skip
            credits = histories.convert(attribution, ordered + ordered[:2])
            assert histories.named_credits(credits) == naive.convert(ordered + ordered[:2])
            corrections = attribution.settle(tick * 5.0)
            assert histories.named_corrections(corrections) == naive.settle(tick * 5.0)
        assert attribution.counts == {name: naive.counts[name] for name in COUNTS}
        seen.update(naive.counts)
    assert seen["evicted_touches"] > 10_000
    assert min(seen[name] for name in ("evicted_conversions", "evicted_orders", "late_conversions", "cut_paths")) > 100
    assert min(seen["changed"], seen["blind_passes"]) > 100, seen
    assert seen["buried_touches"] > 50


def in_order(events):
    """Each order once, as it is delivered again unchanged."""
    return list({event["order"]: event for event in events}.values())


@settings(max_examples=80)
@given(
    configs(**ENDLESS, corrections=5_000, passes=(3.0, 200.0), order_memory=1e6, ahead=1_000.0),
    versions(),
    st.lists(touches, max_size=20),
    st.lists(conversions, max_size=8).map(in_order),
    st.randoms(use_true_random=False),
)
def test_net_of_credits_and_corrections_is_the_answer_over_all(config, rule_sets, touched, converted, order):
    """Whatever the order of arrival, with what is delivered twice, in batches of any size, with passes between."""
    events = [("touch", each) for each in touched] + [("convert", each) for each in converted]
    events += order.sample(events, len(events) // 3)
    order.shuffle(events)
    attribution, parts, now = Attribution(config, rule_sets), [], 3.0
    while events:
        kind, one = events.pop()
        if kind == "touch":
            histories.touch(attribution, [one])
        else:
            parts.append(histories.convert(attribution, [one]))
        if order.random() < 0.1:
            now += order.randint(0, 5)
            parts.append(attribution.settle(now))
    parts.append(attribution.settle(1_000.0))
    net, worth, ids = {}, {}, []
    for part in parts:
        ids += part.id.tolist()
        for name in zip(
            *(getattr(part, each).tolist() for each in ("order", "decision", "item", "channel")), strict=True
        ):
            net.setdefault(name, Fraction(0))
        for i in range(part.id.size):
            name = part.order[i].item(), part.decision[i].item(), part.item[i].item(), part.channel[i].item()
            net[name] += Fraction(part.share[i].item())
            worth[name[0]] = worth.get(name[0], 0.0) + part.value[i].item()
    assert len(set(ids)) == len(ids)
    naive, truth = Naive(config, rule_sets), {}
    naive.touch(touched)
    for event in converted:
        for (decision, item, rank), units in naive.earners(event)[0].items():
            truth[event["order"], decision, item, len(histories.CHANNELS) - rank if rank else -1] = Fraction(
                units, 2**32
            )
    assert {name: share for name, share in net.items() if share} == truth
    values = {event["order"]: event["value"] for event in converted}
    for name, sum_ in worth.items():
        earned = any(each[0] == name for each in truth)
        assert sum_ == pytest.approx(values[name] if earned else 0.0, abs=1e-12)


@settings(max_examples=80)
@given(configs(), versions(), st.lists(steps, max_size=10))
def test_a_batch_is_its_events_one_by_one(config, rule_sets, history):
    whole, single = Attribution(config, rule_sets), Attribution(config, rule_sets)
    for step in history:
        if step[0] == "touch":
            histories.touch(whole, step[1])
            for event in step[1]:
                histories.touch(single, [event])
        elif step[0] == "convert":
            credits = histories.convert(whole, step[1])
            parts = [histories.convert(single, [event]) for event in step[1]]
            for name in set(credits._fields) - {"row"}:
                assert getattr(credits, name).tolist() == [
                    each for part in parts for each in getattr(part, name).tolist()
                ]
    assert whole.to_bytes() == single.to_bytes()


deliveries = st.lists(
    st.one_of(
        st.tuples(st.just("touch"), st.lists(touches, min_size=1, max_size=6)),
        st.tuples(st.just("convert"), st.lists(conversions, min_size=1, max_size=4)),
        st.tuples(st.just("settle"), st.integers(0, 12)),
    ),
    max_size=12,
)


def deliver(attribution, tally, step, now, size=100):
    """One step, in batches of a size; what comes out is applied."""
    if step[0] == "settle":
        tally.apply(attribution.settle(now))
        return
    for start in range(0, len(step[1]), size):
        some = step[1][start : start + size]
        if step[0] == "touch":
            histories.touch(attribution, some, now)
        else:
            tally.apply(histories.convert(attribution, some, now))


@settings(max_examples=80)
@given(configs(corrections=500), versions(), deliveries, st.data())
def test_a_crash_and_what_is_delivered_again_change_nothing(config, rule_sets, history, data):
    """Also where tables are tiny: then in other batches, each once. The tally has seen all that came out before."""
    cut, crash = sorted(data.draw(st.tuples(*[st.integers(0, len(history))] * 2)))
    moments = np.cumsum([40.0 + (step[1] if step[0] == "settle" else 0.0) for step in history]).tolist()
    calm, kept = Attribution(config, rule_sets), Tally(ids=2_000)
    for step, now in zip(history, moments, strict=True):
        deliver(calm, kept, step, now)
    kept.apply(calm.settle(10_000.0))

    attribution, tally, blob = Attribution(config, rule_sets), Tally(ids=2_000), b""
    for i, (step, now) in enumerate(zip(history[:crash], moments, strict=False)):
        if i == cut:
            blob = attribution.to_bytes()
        deliver(attribution, tally, step, now)
    blob = blob or attribution.to_bytes()
    restored = cut if crash > cut else crash
    attribution = Attribution.from_bytes(blob)
    tally = Tally.from_bytes(tally.to_bytes())
    size = data.draw(st.integers(1, 5))
    for step, now in zip(history[restored:], moments[restored:], strict=True):
        deliver(attribution, tally, step, now, size)
    tally.apply(attribution.settle(10_000.0))
    assert [each.tolist() for each in tally.counts()[:3]] == [each.tolist() for each in kept.counts()[:3]]
    assert attribution.to_bytes() == calm.to_bytes()


@settings(max_examples=80)
@given(configs(**ENDLESS, corrections=5_000, order_memory=1e6), versions(), deliveries, st.data())
def test_batches_delivered_again_change_nothing(config, rule_sets, history, data):
    """At once or later, in any sizes, after a crash too."""
    moments = np.cumsum([40.0 + (step[1] if step[0] == "settle" else 0.0) for step in history]).tolist()
    calm, kept = Attribution(config, rule_sets), Tally(ids=2_000)
    for step, now in zip(history, moments, strict=True):
        deliver(calm, kept, step, now)
    attribution, tally = Attribution(config, rule_sets), Tally(ids=2_000)
    for i, (step, now) in enumerate(zip(history, moments, strict=True)):
        if data.draw(st.booleans()):
            attribution, tally = copy(attribution), Tally.from_bytes(tally.to_bytes())
        deliver(attribution, tally, step, now, data.draw(st.integers(1, 6)))
        again = data.draw(st.integers(0, i))
        if history[again][0] != "settle":
            deliver(attribution, tally, history[again], now, data.draw(st.integers(1, 6)))
    kept.apply(calm.settle(10_000.0))
    tally.apply(attribution.settle(10_000.0))
    assert [each.tolist() for each in tally.counts()[:3]] == [each.tolist() for each in kept.counts()[:3]]
    counts = [{name: n for name, n in each.counts.items() if name != "duplicates"} for each in (calm, attribution)]
    assert counts[0] == counts[1]
