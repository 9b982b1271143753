"""Reason codes: why a room gets what it gets. A set of them is an integer of bits."""

REASONS = (
    "FLOOR",  # granted by the guarantee of the seed stage
    "SAMPLED",  # granted by a posterior draw
    "NOT_SAMPLED",  # could have been served, but drew too low
    "NOTHING_AVAILABLE",  # could have been served, but the tick had nothing to give
    "BUDGET_SPENT",  # the budget has nothing left
    "FLOOR_UNMET",  # the guarantee asked for more than the floor's share
    "AT_CAP",  # all that its stage allows is granted
    "INSUFFICIENT_SUPPLY",  # the multiplier stood at its upper bound for three ticks
    "BLOCKED",  # by the host
    "SEED_DONE",
    "LOW_SUPPLY",
    "PROMOTED",
    "DEMOTED",
    "EXTENDED",
    "FUTILE",
    "CAP_REACHED",
    "STOP_LOSS",
    "STALE",  # the fleet was not heard of for too long: no promotions, multipliers on their way to 1
)
BIT = {reason: 1 << i for i, reason in enumerate(REASONS)}


def names_of(bits: int) -> tuple[str, ...]:
    """Names of the reasons whose bits are set."""
    return tuple(reason for reason, bit in BIT.items() if bits & bit)
