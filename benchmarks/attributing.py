"""Attribution: touches and conversions from arrays, one thread, tables far beyond the cache."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from measuring import Clock, Result
from numpy.typing import NDArray
from references import Rows

from seedbed.bandits._numba import kernel
from seedbed.bandits.attribution import Attribution, AttributionConfig, Rule, RuleSet

TOUCHES, KEYS, BATCH = 5_000_000, 1_000_000, 500_000
SMALL_TOUCHES, SMALL_KEYS, SMALL_BATCH = 1_000_000, 200_000, 100_000
SECOND = 1e-6  # an event: a million in a second
WINDOW = 1e6

Columns = dict[str, NDArray[Any]]


class Traffic:
    """Events of random keys, in order of time, never the same twice."""

    def __init__(self, keys: int, batch: int) -> None:
        self.draw = np.random.default_rng(1)
        self.users = self.draw.integers(0, 2**63, keys)
        self.batch, self.now = batch, 0.0

    def touches(self) -> Columns:
        row = self.draw.integers(0, self.users.size, self.batch)
        self.now += 1.0
        at = self.now + np.sort(self.draw.random(self.batch))
        names = self.draw.integers(0, 2**63, self.batch)
        return {"users": self.users[row], "items": row % 1_000, "at": at, "decisions": names}

    def conversions(self) -> Columns:
        columns = self.touches()
        return {"orders": columns.pop("decisions"), **columns}


@cache
def filled(model: Any, touches: int, keys: int, batch: int, passes: tuple[float, ...] = (3_600.0,)) -> Any:
    """An attribution whose ring has wrapped, and traffic for it."""
    config = AttributionConfig(
        windows={"order": WINDOW}, touches=touches, orders=4_000_000, conversions=1_000_000, passes=passes
    )
    attribution = Attribution(config, [RuleSet(version="v", rules=(Rule(model=model),))])
    traffic = Traffic(keys, batch)
    for _ in range(touches // batch + 1):
        attribution.touch(**traffic.touches())
    return attribution, traffic


@kernel
def change_rows(rows: Rows, chosen: Rows) -> None:
    """What a table would cost that needs one look at one cache line an event, and no more."""
    for i in range(chosen.size):
        rows[chosen[i], 0] += chosen[i]


def one_look(size: int) -> Callable[[Columns], None]:
    """Random read-modify-writes over as many rows of 64 bytes."""
    rows = np.ones((size, 8), np.int64)

    def job(columns: Columns) -> None:
        change_rows(rows, chosen(columns))

    def chosen(columns: Columns) -> Rows:
        found: Rows = columns["chosen"]
        return found

    return job


def with_rows(make: Callable[[], Columns], size: int) -> Callable[[], Columns]:
    """Events, and as many random rows for the reference."""
    draw = np.random.default_rng(2)
    return lambda: {**make(), "chosen": draw.integers(0, size, BATCH)}


def ours(method: Callable[..., Any], **options: Any) -> Callable[[Columns], None]:
    def job(columns: Columns) -> None:
        method(**{name: column for name, column in columns.items() if name not in ("chosen", "lists")}, **options)

    return job


def beside_memory(clock: Clock) -> Iterator[Result]:
    """Events beside what memory allows."""
    name = "5,000,000 remembered, 1,000,000 keys"
    beside = "one random read-modify-write, 64-byte rows"
    attribution, traffic = filled("last_click", TOUCHES, KEYS, BATCH)
    look = one_look(TOUCHES)
    yield clock.compare(
        f"a touch, batches of {BATCH:,}, {name}", None, ours(attribution.touch), beside, look,
        per=BATCH, prepare=with_rows(traffic.touches, TOUCHES), seconds=SECOND,
    )  # fmt: skip
    for model, limit in (("last_click", SECOND), ("linear", None)):
        attribution, traffic = filled(model, TOUCHES, KEYS, BATCH)
        text = f"a conversion, {model.replace('_', ' ')}, kept for a pass, {name}"
        yield clock.compare(
            text, None, ours(attribution.convert, kinds="order"), beside, look,
            per=BATCH, prepare=with_rows(traffic.conversions, TOUCHES), seconds=limit,
        )  # fmt: skip


def beside_dicts(clock: Clock) -> Iterator[Result]:
    """Events beside dicts and lists, which forget nothing."""
    attribution, traffic = filled("last_click", SMALL_TOUCHES, SMALL_KEYS, SMALL_BATCH)
    chains: dict[tuple[int, int], list[tuple[float, int]]] = {}
    seen: set[int] = set()

    def lists(make: Callable[[], Columns]) -> Callable[[], Any]:
        def prepare() -> Any:
            columns = make()
            return {**columns, "lists": [column.tolist() for column in columns.values()]}

        return prepare

    def touch(columns: Any) -> None:
        for user, item, at, decision in zip(*columns["lists"], strict=True):
            chains.setdefault((user, item), []).append((at, decision))

    def convert(columns: Any) -> None:
        credits = []
        for order, user, item, at in zip(*columns["lists"], strict=True):
            if order in seen:
                continue
            seen.add(order)
            for touched, decision in reversed(chains.get((user, item), ())):
                if touched <= at:
                    if touched >= at - WINDOW:
                        credits.append((order, decision))
                    break

    beside = "dict of lists, last click"
    for _ in range(SMALL_TOUCHES // SMALL_BATCH):
        touch(lists(traffic.touches)())
    name = f"batches of {SMALL_BATCH:,}, 1,000,000 remembered, 200,000 keys"
    yield clock.compare(
        f"a touch, {name}", 1.0, ours(attribution.touch), beside, touch,
        per=SMALL_BATCH, prepare=lists(traffic.touches),
    )  # fmt: skip
    yield clock.compare(
        f"a conversion, {name}", 1.0, ours(attribution.convert, kinds="order"), beside, convert,
        per=SMALL_BATCH, prepare=lists(traffic.conversions),
    )  # fmt: skip


def single(clock: Clock) -> Iterator[Result]:
    """One event a call: what is around the kernels."""
    attribution, traffic = filled("last_click", SMALL_TOUCHES, SMALL_KEYS, SMALL_BATCH)
    touched, converted = Traffic(SMALL_KEYS, 1), Traffic(SMALL_KEYS, 1)
    touched.users = converted.users = traffic.users
    one, other = clock.least(lambda: attribution.touch(**touched.touches()), touched.touches)
    three, four = clock.least(
        lambda: attribution.convert(kinds="order", **converted.conversions()), converted.conversions
    )
    for name, took in (("touch", one - other), ("conversion", three - four)):
        yield Result(f"one {name} a call", f"{took * 1e6:.3g} us", "", "", "", None)


SUBJECT = (beside_memory, beside_dicts, single)
