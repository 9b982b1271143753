"""Reason codes: why a room gets what it gets. A set of them is an integer of bits, in the order of `Reason`."""

from enum import StrEnum


class Reason(StrEnum):
    """A reason code and, in `sentence`, what it says to people. Codes are only ever added, at the end."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> "Reason":
        """Make a member that is its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    def __repr__(self) -> str:
        return repr(self.value)

    FLOOR = "FLOOR", "The guarantee of new rooms gave it viewers."
    SAMPLED = "SAMPLED", "It was among the rooms believed, in this draw, to do best."
    NOT_SAMPLED = "NOT_SAMPLED", "Other rooms were believed to do better in this draw."
    NOTHING_AVAILABLE = "NOTHING_AVAILABLE", "There were no viewers to give in this minute."
    BUDGET_SPENT = "BUDGET_SPENT", "The budget of exploration is used up."
    FLOOR_UNMET = (
        "FLOOR_UNMET",
        "More new rooms asked for their guaranteed viewers than could be served in this minute.",
    )
    AT_CAP = "AT_CAP", "It has been given all viewers that its stage allows."
    INSUFFICIENT_SUPPLY = "INSUFFICIENT_SUPPLY", "Even the strongest push does not bring the viewers that it was given."
    BLOCKED = "BLOCKED", "The platform has blocked it for now."
    SEED_DONE = "SEED_DONE", "Its first guaranteed audience has seen it."
    LOW_SUPPLY = "LOW_SUPPLY", "Its time for the first audience ended before the audience was complete."
    PROMOTED = "PROMOTED", "It is above all bars, with the certainty that was asked for."
    DEMOTED = "DEMOTED", "It is no longer likely to be above all bars."
    EXTENDED = "EXTENDED", "It ended at its cap, but is promising: it was given more."
    FUTILE = "FUTILE", "It is very unlikely to be above all bars."
    CAP_REACHED = "CAP_REACHED", "It has had all viewers that its stage allows."
    STOP_LOSS = "STOP_LOSS", "Harm to viewers is proved; it stays stopped for the whole session."
    STALE = "STALE", "The other servers have not been heard of for too long: no promotions for now."
    KILLED = "KILLED", "An operator has taken it out of all exploration."
    PINNED = "PINNED", "An operator has given it a fixed number of viewers."
    BANNED = "BANNED", "An operator gives it no further viewers for now."
    WEIGHTED = "WEIGHTED", "An operator has changed its weight among the others."
    CHANGED = "CHANGED", "Its audience has begun to behave otherwise: it is judged afresh."
    MISMATCHED = "MISMATCHED", "Viewers sent to it stay far less than its own: it is shown to the wrong people."
    RULES_CHANGED = "RULES_CHANGED", "It is judged by another version of the rules."


REASONS = tuple(Reason)
BIT = {reason: 1 << i for i, reason in enumerate(REASONS)}


def names_of(bits: int) -> tuple[Reason, ...]:
    """Reasons whose bits are set."""
    return tuple(reason for reason, bit in BIT.items() if bits & bit)
