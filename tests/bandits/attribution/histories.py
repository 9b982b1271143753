"""Random histories of touches, conversions and passes, and how to play them."""

import math

import numpy as np
from hypothesis import strategies as st

from seedbed.bandits.attribution import Attribution, AttributionConfig, Condition, Rule, RuleSet

USERS = (0, 7, 2**64 - 1)  # 0 is a name as any other
ITEMS = (1, 2**63)
CHANNELS = ("search", "feed", "push")
KINDS = ("order", "gift")
ENDLESS = {"touches": 500, "conversions": 500, "orders": 500, "credits": 5_000, "longest_path": 500}

times = st.integers(0, 30).map(float)
touches = st.fixed_dictionaries(
    {
        "user": st.sampled_from(USERS),
        "item": st.sampled_from(ITEMS),
        "at": times,
        "decision": st.sampled_from((0, 1, 2, 2**63 + 1)),
        "rank": st.integers(0, len(CHANNELS)),
    }
)
conversions = st.fixed_dictionaries(
    {
        "order": st.integers(0, 9),
        "user": st.sampled_from(USERS),
        "item": st.sampled_from(ITEMS),
        "at": times,
        "kind": st.sampled_from(KINDS),
        "value": st.sampled_from((0.0, 1.0, 5.0)),
        "segment": st.sampled_from((3, 2**64 - 4)),
    }
)
splits = st.sampled_from(((0.4, 0.2, 0.4), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.1, 0.2, 0.7), (0.3, 0.7, 0.0)))
conditions = st.builds(
    Condition,
    kinds=st.none() | st.sampled_from(((KINDS[0],), KINDS)),
    min_value=st.none() | st.sampled_from((1.0, 2.0)),
    max_value=st.none() | st.sampled_from((1.0, 4.0)),
    segments=st.none() | st.sampled_from(((3,), (2**64 - 4, 3))),
)
plain = st.builds(Condition)
models = st.sampled_from(("last_click", "first_click", "linear", "position"))
some_channels = st.none() | st.sampled_from((CHANNELS[:1], CHANNELS[1:], CHANNELS))
leaves = st.builds(Rule, when=plain | conditions, model=models, split=splits, channels=some_channels)
trees = st.recursive(
    leaves,
    lambda inner: st.builds(
        Rule, when=plain | conditions, channels=some_channels, rules=st.lists(inner, min_size=1, max_size=2).map(tuple)
    ),
    max_leaves=3,
)


@st.composite
def versions(draw, size=3):
    """A few rule sets under distinct names."""
    names = draw(st.permutations(("a", "b", "c")))[: draw(st.integers(1, size))]
    return [
        RuleSet(
            version=name,
            rules=tuple(draw(st.lists(trees.filter(lambda tree: tree.depth <= 4), min_size=1, max_size=2))),
            priority=draw(st.integers(0, 1)),
            valid_from=draw(st.sampled_from((-math.inf, 5.0, 10.0))),
            valid_to=draw(st.sampled_from((math.inf, 20.0))),
        )
        for name in names
    ]


@st.composite
def configs(draw, **fixed):
    """Tiny capacities, so that all that can go does."""
    given = {
        "windows": {"order": draw(st.sampled_from((4.0, 100.0))), "gift": 2.0},
        "lateness": draw(st.sampled_from((0.0, 3.0, 100.0))),
        "ahead": 2.0,
        "channels": CHANNELS,
        "join": draw(st.sampled_from(("user", "user_item"))),
        "touches": draw(st.sampled_from((1, 2, 3, 7, 500))),
        "conversions": draw(st.sampled_from((1, 3, 500))),
        "orders": draw(st.sampled_from((1, 2, 500))),
        "order_memory": draw(st.sampled_from((5.0, 1_000.0))),
        "longest_path": draw(st.sampled_from((1, 2, 5))),
        "passes": draw(st.sampled_from(((), (3.0,), (3.0, 20.0)))),
        "corrections": draw(st.sampled_from((1, 3, 500))),
    } | fixed
    given["longest_walk"] = given["longest_path"] + draw(st.sampled_from((0, 1, 500)))
    if "credits" not in fixed:
        given["credits"] = draw(st.sampled_from((None, given["longest_path"], given["longest_path"] + 2)))
    return AttributionConfig(**given)


def column(events, name, dtype=np.uint64):
    return np.array([event[name] for event in events], dtype)


def touch(attribution, events, now=None):
    codes = [len(CHANNELS) - event["rank"] if event["rank"] else -1 for event in events]
    attribution.touch(
        column(events, "user"), column(events, "item"), column(events, "at", float), column(events, "decision"),
        np.array(codes, np.int64), now=now,
    )  # fmt: skip


def convert(attribution, events, now=None):
    return attribution.convert(
        column(events, "order"), column(events, "user"), column(events, "item"), column(events, "at", float),
        column(events, "kind", object), column(events, "value", float), column(events, "segment"), now=now,
    )  # fmt: skip


def named_credits(credits):
    """As the oracle writes them; ranks again for channels."""
    share = credits.share * 2.0**32
    assert (share == np.floor(share)).all()
    ranks = np.where(credits.channel < 0, 0, len(CHANNELS) - credits.channel)
    columns = (credits.row, credits.order, credits.decision, credits.item, ranks, share, credits.rule_set, credits.rule)
    return list(zip(*(each.tolist() for each in columns), strict=True))


def named_corrections(corrections):
    reasons = [
        {1: "late", 2: number, 3: "future"}[reason]
        for reason, number in zip(corrections.reason.tolist(), corrections.number.tolist(), strict=True)
    ]
    ranks = np.where(corrections.channel < 0, 0, len(CHANNELS) - corrections.channel)
    ranks = np.where(corrections.reason == 3, -1, ranks)
    columns = (
        corrections.order, corrections.decision, corrections.item, ranks, corrections.share * 2.0**32, corrections.value
    )  # fmt: skip
    return list(zip(reasons, *(each.tolist() for each in columns), strict=True))


def copy(attribution):
    """The same, through bytes."""
    blob = attribution.to_bytes()
    twin = Attribution.from_bytes(blob)
    assert twin.to_bytes() == blob
    return twin
