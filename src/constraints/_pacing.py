"""The multiplier of a soft budget: what is spent and awaited, what may be spent, and the step between."""

from __future__ import annotations

import math

from ..bandits._numba import kernel
from .base import Columns, Floats

UNKNOWN = -(2.0**53)  # a time, or a window, before any is known
_LULL = 20.0  # decisions missing before a pause counts as an outage

# rows of `totals`
LAMBDA, DECISIONS, SPENT, AWAITED, LAPSED, FIRST, WINDOW, TIME, ARRIVALS, ELAPSED, SEEN, SQUARE = range(12)
TOTALS = 12
# rows of `arms`
UNIT, EXPOSED, EXPECTED, SUM, WEIGHT, SQUARES = range(6)


@kernel
def memory(window: float, outage: float) -> float:
    """Seconds over which traffic is smoothed."""
    return window / 10.0 if window > 0.0 else 10.0 * outage


@kernel
def target(totals: Floats, now: float, limit: float, decisions: float, window: float, rho: float, sign: float) -> float:
    """What one of the decisions that are left may cost."""
    used = totals[SPENT] + totals[AWAITED] + totals[LAPSED]
    most = 2.0 * rho
    if window > 0.0 and now > UNKNOWN:
        traffic = totals[ARRIVALS] / totals[ELAPSED]
        most = 2.0 * limit / (traffic * window)
        end = (totals[WINDOW] + 1.0) * window
        each = (limit - used) / max(traffic * (end - now), 1.0)
    elif limit > 0.0:
        each = (limit - used) / max(decisions - totals[DECISIONS], 1.0)
    else:
        each = rho + (rho * totals[DECISIONS] - used) / decisions
    return float(min(max(each, 0.0), most))


@kernel
def serve(
    totals: Floats,
    arms: Floats,
    columns: Columns,
    units: Floats,
    expected: Floats,
    is_awaited: bool,
    number: int,
    now: float,
    limit: float,
    decisions: float,
    window: float,
    rho: float,
    sign: float,
    eta: float,
    largest: float,
    outage: float,
) -> None:
    """Count what was served and move the multiplier."""
    if now > UNKNOWN:
        _advance(totals, arms, number, now, window, outage)
    cost = 0.0
    for i in range(columns.size):
        cost += expected[i]
    totals[SEEN] = min(totals[SEEN] + 1.0, decisions)
    totals[SQUARE] += ((cost / rho) ** 2 - totals[SQUARE]) / (totals[SEEN] + 1.0)
    each = target(totals, now, limit, decisions, window, rho, sign)
    step = sign * eta * (cost - each) / rho / math.sqrt(max(totals[SQUARE], 1.0))
    totals[LAMBDA] = min(max(totals[LAMBDA] + step, 0.0), largest)
    totals[DECISIONS] += 1.0
    totals[AWAITED if is_awaited else SPENT] += cost
    for i in range(columns.size):
        arms[UNIT, columns[i]] = units[i]
        if is_awaited:
            arms[EXPOSED, columns[i]] += 1.0
            arms[EXPECTED, columns[i]] += expected[i]
    if limit == 0.0:  # a rate: what is left over lapses, what is owed does not
        surplus = rho * totals[DECISIONS] - totals[SPENT] - totals[AWAITED] - totals[LAPSED]
        totals[LAPSED] += sign * max(sign * surplus - 2.0 * rho * decisions, 0.0)


@kernel
def _advance(totals: Floats, arms: Floats, number: int, now: float, window: float, outage: float) -> None:
    """Enter the present: another window, an outage, the traffic."""
    if window > 0.0 and math.floor(now / window) > totals[WINDOW]:
        totals[WINDOW] = math.floor(now / window)
        totals[FIRST] = number
        totals[DECISIONS], totals[SPENT], totals[AWAITED] = 0.0, 0.0, 0.0
        arms[EXPOSED], arms[EXPECTED] = 0.0, 0.0  # they were charged to the window in which they were served
    gap = max(now - totals[TIME], 0.0) if totals[TIME] > UNKNOWN else 0.0
    if gap > outage and gap * totals[ARRIVALS] >= _LULL * (totals[ELAPSED] + gap):
        totals[LAMBDA] *= 0.5
    seconds = memory(window, outage)
    fade = math.exp(-gap / seconds)
    totals[ARRIVALS] = totals[ARRIVALS] * fade + 1.0
    totals[ELAPSED] = totals[ELAPSED] * fade + seconds * (1.0 - fade)
    totals[TIME] = max(now, totals[TIME])


@kernel
def settle(
    totals: Floats, arms: Floats, columns: Columns, costs: Floats, weights: Floats, is_told: bool, number: int
) -> None:
    """Replace what exposures were expected to cost by what they did; an arm's are alike, each the mean of them."""
    is_past = 0 <= number < totals[FIRST]
    for i in range(columns.size):
        column, cost = columns[i], costs[i]
        if not math.isfinite(cost):
            continue
        if is_told:
            arms[SUM, column] += weights[i] * cost
            arms[WEIGHT, column] += weights[i]
            arms[SQUARES, column] += weights[i] * cost * cost
        else:
            cost *= arms[UNIT, column]
        if is_past:
            continue
        exposed = arms[EXPOSED, column]
        if exposed >= 1.0:
            expected = arms[EXPECTED, column] / exposed
            arms[EXPOSED, column] -= 1.0
            arms[EXPECTED, column] = expected * (exposed - 1.0)
            totals[AWAITED] -= expected
        totals[SPENT] += cost


@kernel
def told_costs(arms: Floats, columns: Columns, mean: float, weight: float, reach: float, out: Floats) -> None:
    """Write the mean cost of each column, `reach` standard deviations of that mean lower.

    The prior is of so much weight, and of a deviation as large as its mean. What is awaited counts as if it had come
    back, for the deviation, so that one arm is not tried again and again while nothing is heard of it.
    """
    total, squares = mean * weight, 2.0 * mean * mean * weight
    for i in range(columns.size):
        column = columns[i]
        inverse = 1.0 / (weight + arms[WEIGHT, column])
        each = (total + arms[SUM, column]) * inverse
        out[i] = each
        if reach != 0.0:
            variance = (squares + arms[SQUARES, column]) * inverse - each * each
            n = weight + arms[WEIGHT, column] + arms[EXPOSED, column]
            out[i] = max(each - reach * math.sqrt(max(variance, 0.0) / n), 0.0)
