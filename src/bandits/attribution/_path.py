"""The path of a conversion, and who on it earns how much: what the first and the second pass share.

They call these one by one: a function around them that took all their arrays cost 110 ns a conversion, as each array
goes to a function as seven numbers.
"""

from .._numba import free_kernel
from ._table import AT, DECISION, ITEM, OLDER, RANK, Floats, Ints

LAST_CLICK, FIRST_CLICK, LINEAR = 0, 1, 2  # of rules.MODELS; position is what is left
UNITS = 1 << 32  # a whole share; shares are whole numbers of units, so that they sum to 1 exactly, in any order

# cells of settings
BY_USER, LONGEST, STEPS, WALK, SALT = range(5)  # STEPS: along each path, looked at ahead

HAS_SEGMENT = 1 << 8  # beside the kind

# columns of rules: see rules.Compiled
_KINDS, _SEGMENTS_FROM, _SEGMENTS_TO, MODEL, CHANNELS, _FIRST, _MIDDLE, _LAST, _PAIR, CODE = range(10)
_VALID_FROM, _VALID_TO, _LEAST, _MOST = range(4)

WHOLE, CUT, LOST = 0, 1, 2  # how much of a path was read: all; the latest touches; not even these, for certain


@free_kernel
def rule_of(numbers: Ints, limits: Floats, segments: Ints, kind: int, segment: int, at: float, value: float) -> int:
    """The first leaf for a conversion, or -1."""
    for rule in range(numbers.shape[0]):
        if not limits[rule, _VALID_FROM] <= at < limits[rule, _VALID_TO]:
            continue
        if not limits[rule, _LEAST] <= value <= limits[rule, _MOST]:
            continue
        if numbers[rule, _KINDS] >> (kind & 0xFF) & 1 == 0:
            continue
        if numbers[rule, _SEGMENTS_FROM] < 0:
            return rule
        if kind & HAS_SEGMENT:
            for j in range(numbers[rule, _SEGMENTS_FROM], numbers[rule, _SEGMENTS_TO]):
                if segments[j] == segment:
                    return rule
    return -1


@free_kernel
def read_path(
    rows: Ints, times: Floats, row: int, at: float, window: float, channels: int, model: int, longest: int, walk: int,
    path: Ints,
) -> tuple[int, int]:  # fmt: skip
    """Write the rows that may earn, the latest first; return how many, and whether that is the WHOLE path, CUT or LOST.

    After `walk` rows of the key, whether they are of the path or not, it is given up.

    The window is counted back from the conversion, whatever came before: a touch that is too old neither opens nor
    lengthens it.
    """
    n, looked, walked, state = 0, 0, 0, WHOLE
    while row >= 0 and times[row, AT] >= at - window:
        if walked == walk:
            state = LOST
            break
        walked += 1
        if times[row, AT] <= at and channels >> rows[row, RANK] & 1:
            if looked == longest:
                state = CUT
                break
            looked += 1
            stands = False  # the decision and item, on the path already
            if model >= LINEAR:
                for j in range(n):
                    if rows[path[j], DECISION] == rows[row, DECISION] and rows[path[j], ITEM] == rows[row, ITEM]:
                        stands = True
            if not stands:
                path[n] = row
                n += 1
            if model == LAST_CLICK:
                break
        row = rows[row, OLDER]
    if model == FIRST_CLICK and n > 0:
        path[0] = path[n - 1]
        n = 1
    return n, state


@free_kernel
def share_out(numbers: Ints, rule: int, n: int, units: Ints) -> None:
    """Write the units of n touches, the latest first.

    What rounding leaves goes to the largest share, of equals to the latest.
    """
    model = numbers[rule, MODEL]
    if n == 1:
        units[0] = UNITS
        return
    if model == LINEAR:
        for j in range(n):
            units[j] = UNITS // n
    elif n == 2:
        units[1] = numbers[rule, _PAIR]
        units[0] = UNITS - units[1]
    else:
        for j in range(1, n - 1):
            units[j] = numbers[rule, _MIDDLE] // (n - 2)
        units[n - 1] = numbers[rule, _FIRST]
        units[0] = numbers[rule, _LAST]
    rest, largest = UNITS, 0
    for j in range(n):
        rest -= units[j]
        if units[j] > units[largest]:
            largest = j
    units[largest] += rest
