"""The second pass: what a conversion earns by all that is known now, less what was given."""

import numpy as np

from .._numba import free_kernel
from ._keeping import (
    AT,
    CREDITS,
    DECISION,
    DONE,
    DUE,
    EARNER,
    FOLLOWING,
    FREE_COUNT,
    HELD,
    ITEM,
    KIND,
    NEXT,
    ORDER,
    OUT_AT,
    OUT_DECISION,
    OUT_ITEM,
    OUT_NUMBER,
    OUT_ORDER,
    OUT_RANK,
    OUT_ROW,
    OUT_RULE,
    OUT_UNITS,
    OUT_VALUE,
    RANK,
    RULE,
    SEGMENT,
    UNITS,
    USER,
    VALUE,
    drop_oldest,
    put,
    release,
)
from ._path import BY_USER, CHANNELS, CODE, LONGEST, LOST, MODEL, SALT, WALK, WHOLE, read_path, rule_of, share_out
from ._table import BLIND_PASSES, CHANGED, GONE, PASSES, Floats, Ints, find, hash_of
from ._table import DECISION as TOUCH_DECISION
from ._table import ITEM as TOUCH_ITEM
from ._table import RANK as TOUCH_RANK


@free_kernel
def write(
    out: Ints, amounts: Floats, written: Ints, kept: Ints, moments: Floats, row: int,
    decision: int, item: int, rank: int, units: int, rule: int,
) -> None:  # fmt: skip
    """Put one correction out, unless it is nothing; `written [1]` counts them."""
    if units == 0:
        return
    n = written[0]
    out[OUT_ROW, n] = -1
    out[OUT_ORDER, n] = kept[row, ORDER]
    out[OUT_DECISION, n] = decision
    out[OUT_ITEM, n] = item
    out[OUT_RANK, n] = rank
    out[OUT_UNITS, n] = units
    out[OUT_RULE, n] = rule
    out[OUT_NUMBER, n] = kept[row, DONE]
    amounts[OUT_VALUE, n] = moments[row, VALUE]
    amounts[OUT_AT, n] = moments[row, AT]
    written[0] += 1


@free_kernel
def write_difference(
    rows: Ints, kept: Ints, moments: Floats, pool: Ints, row: int, path: Ints, units: Ints, earners: int, code: int,
    out: Ints, amounts: Floats, written: Ints,
) -> None:  # fmt: skip
    """Put out what a conversion earns now less what it was given; `units` become what none was given before."""
    credit = kept[row, CREDITS]
    while credit >= 0:
        change = -pool[credit, UNITS]
        rule = pool[credit, RULE]
        for j in range(earners):
            touch = path[j]
            if (
                rows[touch, TOUCH_DECISION] == pool[credit, DECISION]
                and rows[touch, TOUCH_ITEM] == pool[credit, EARNER]
                and rows[touch, TOUCH_RANK] == pool[credit, RANK]
            ):
                change += units[j]
                units[j] = 0
                rule = code
        write(
            out, amounts, written, kept, moments, row,
            pool[credit, DECISION], pool[credit, EARNER], pool[credit, RANK], change, rule,
        )  # fmt: skip
        credit = pool[credit, FOLLOWING]
    for j in range(earners):
        touch = path[j]
        write(
            out, amounts, written, kept, moments, row,
            rows[touch, TOUCH_DECISION], rows[touch, TOUCH_ITEM], rows[touch, TOUCH_RANK], units[j], code,
        )  # fmt: skip


@free_kernel
def pass_again(
    slots: Ints,
    rows: Ints,
    times: Floats,
    settings: Ints,
    windows: Floats,
    passes: Floats,
    numbers: Ints,
    limits: Floats,
    rule_segments: Ints,
    kept: Ints,
    moments: Floats,
    pool: Ints,
    queue: Ints,
    counts: Ints,
    clock: Floats,
    now: float,
    out: Ints,
    amounts: Floats,
) -> tuple[bool, int]:
    """Attribute anew what is due, in the order in which it came; return whether there was room for all, and n.

    A conversion stays as it is where touches of its window may have been forgotten: what they earned is not taken back.
    """
    longest, by_user, salt, walk = settings[LONGEST], settings[BY_USER] != 0, settings[SALT], settings[WALK]
    written = np.zeros(1, np.int64)
    path, units, left = np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.int64)
    oldest, held = queue[NEXT] - queue[HELD], queue[HELD]
    for k in range(held):
        row = (oldest + k) % kept.shape[0]
        if not moments[row, DUE] <= now:
            continue
        if written[0] + 2 * longest > out.shape[1]:
            return False, written[0]
        counts[PASSES] += 1
        done = kept[row, DONE]
        while done < passes.size and moments[row, AT] + passes[done] <= now:
            done += 1
        kept[row, DONE] = done
        moments[row, DUE] = moments[row, AT] + passes[done] if done < passes.size else np.inf
        user, item, kind, at = kept[row, USER], kept[row, ITEM], kept[row, KIND], moments[row, AT]
        rule = rule_of(numbers, limits, rule_segments, kind, kept[row, SEGMENT], at, moments[row, VALUE])
        earners, state = 0, WHOLE
        if at - windows[kind & 0xFF] <= clock[GONE]:
            state = LOST
        elif rule >= 0:
            slot = find(slots, rows, hash_of(user, item, salt, by_user), user, item, by_user)
            window, channels, model = windows[kind & 0xFF], numbers[rule, CHANNELS], numbers[rule, MODEL]
            head = slots[slot, 1] - 1
            earners, state = read_path(rows, times, head, at, window, channels, model, longest, walk, path)
        if state == LOST:
            counts[BLIND_PASSES] += 1  # what it was given for may have gone: there is nothing to be learnt
            if moments[row, DUE] == np.inf:
                release(kept, pool, queue, row)
            continue
        if earners > 0:
            share_out(numbers, rule, earners, units)
        code = numbers[rule, CODE] if rule >= 0 else 0
        left[:earners] = units[:earners]
        before = written[0]
        write_difference(rows, kept, moments, pool, row, path, left, earners, code, out, amounts, written)
        counts[CHANGED] += written[0] > before
        release(kept, pool, queue, row)
        size = 0
        for j in range(earners):
            size += units[j] != 0
        while queue[FREE_COUNT] < size and moments[row, DUE] < np.inf:
            drop_oldest(kept, moments, pool, queue, counts)  # may come to this one itself
        if moments[row, DUE] < np.inf:
            for j in range(earners - 1, -1, -1):
                touch = path[j]
                if units[j] != 0:
                    put(
                        kept, pool, queue, row,
                        rows[touch, TOUCH_DECISION], rows[touch, TOUCH_ITEM], rows[touch, TOUCH_RANK], units[j], code,
                    )  # fmt: skip
    while queue[HELD] > 0 and moments[(queue[NEXT] - queue[HELD]) % kept.shape[0], DUE] == np.inf:
        drop_oldest(kept, moments, pool, queue, counts)
    return True, written[0]
