"""Eligibility: which arms may be served at all. Deterministic, before any sampling, never traded away."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from ..bandits._numba import kernel
from ..bandits.checkpoint import require
from .attributes import Attributes
from .base import AnyState, Columns, Constraint, Exposure, Feedback, Floats, Mask, Precedence, Request, grown
from .conditions import Rule

_MAX_RULES = 64
_NOTHING = np.empty(0)


class EligibilityState(NamedTuple):
    """What keeps K arms from being served.

    blocked: uint8 `[K]`, 0 where the arm may be served, else 1 + the index of its reason.
    served: int64 `[K]`, exposures so far; counted where there is a stock.
    held: uint64 `[K]`, bit r is set where the conditions of rule r on the arm hold. Derived from the attributes.
    seen: int64 `[1]`, version of the attributes from which `held` was derived; -1 for none.
    """

    blocked: NDArray[np.uint8]
    served: NDArray[np.int64]
    held: NDArray[np.uint64]
    seen: NDArray[np.int64]


class Eligibility(Constraint):
    """Arms that are blocked, not open, sold out, or ruled out for this viewer are not served, whatever their score.

    Never relaxed: where nothing is left, nothing is served. An arm counts under the first reason that it has.

    Parameters
    ----------
    reasons
        Why an arm may be blocked by `block`: distinct names, at most 255.
    opens, closes
        Names of the attributes that hold the seconds from which and before which an arm is open; an arm without them
        always is. Dropped as "NOT_OPEN". While no time is known, an arm with an opening time is not open.
    stock
        Name of the attribute that holds the units there are of an arm: the exposures that it may have in all, counted
        from when it was added. Each exposure takes one; raise the attribute to refill. An arm without it has no end.
        Dropped as "SOLD_OUT".
    rules
        Which arms are not served to which viewers, at most 64.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.constraints import Eligibility
    >>> eligibility = Eligibility(reasons=("COMPLIANCE", "ASLEEP"))
    >>> state = eligibility.init(3)
    >>> eligibility.block(state, np.array([1]), "ASLEEP")
    >>> eligibility.allows(state, np.array([0, 1, 2])).tolist()
    [True, False, True]
    >>> eligibility.blocks(state, np.array([0, 1, 2]))
    {'ASLEEP': 1}
    """

    kind: Literal["eligibility"] = "eligibility"
    reasons: tuple[str, ...] = ("BLOCKED",)
    opens: str | None = None
    closes: str | None = None
    stock: str | None = None
    rules: tuple[Rule, ...] = ()

    precedence: ClassVar[Precedence] = Precedence.ELIGIBILITY
    relaxable: ClassVar[bool] = False

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not 1 <= len(self.reasons) <= 255 or len(set(self.reasons)) != len(self.reasons):
            raise ValueError("reasons must be 1 to 255 distinct names")
        if len(self.rules) > _MAX_RULES:
            raise ValueError(f"{len(self.rules)} rules are more than {_MAX_RULES}; join those of one reason")
        return self

    @cached_property
    def _codes(self) -> dict[str, int]:
        names = [*self.reasons, "NOT_OPEN", "SOLD_OUT", *(rule.reason for rule in self.rules)]
        return {name: 1 + i for i, name in enumerate(dict.fromkeys(names))}

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """Codes of NOT_OPEN, SOLD_OUT and each rule."""
        return np.array([self._codes[name] for name in ("NOT_OPEN", "SOLD_OUT", *(r.reason for r in self.rules))])

    @cached_property
    def _held_by_new_arms(self) -> int:
        """Bits of the rules that hold for an arm of which nothing is known."""
        return sum(1 << i for i, rule in enumerate(self.rules) if not rule.arm or rule.unknown_arm == "matches")

    def init(self, capacity: int) -> EligibilityState:
        """Make a state in which no arm is blocked and nothing is served yet."""
        held = np.full(capacity, self._held_by_new_arms, np.uint64)
        return EligibilityState(np.zeros(capacity, np.uint8), np.zeros(capacity, np.int64), held, np.array([-1]))

    def fit(self, state: AnyState, capacity: int, attributes: Attributes, now: float) -> EligibilityState:
        """Bring a state to the number of arms, and to what their attributes say.

        Raises
        ------
        ValueError
            For a time or a stock that is a name.
        """
        fitted: EligibilityState = state if state.blocked.size == capacity else grown(self, state, capacity)
        if fitted.seen[0] == attributes.version:
            return fitted
        for name in (self.opens, self.closes, self.stock):
            if name in attributes.codes_of:
                raise ValueError(f"attribute {name!r} holds names; give numbers with `describe(ids, {name}=...)`")
        if self.rules:
            fitted.held[:] = 0
            for i, rule in enumerate(self.rules):
                fitted.held[: attributes.capacity] |= rule.holds(attributes).astype(np.uint64) << np.uint64(i)
                if self._held_by_new_arms >> i & 1:
                    fitted.held[attributes.capacity :] |= np.uint64(1 << i)
        fitted.seen[0] = attributes.version
        return fitted

    def block(self, state: EligibilityState, columns: Columns, reason: str) -> None:
        """Serve these arms no more, for a reason that the configuration names."""
        if reason not in self.reasons:
            raise ValueError(f"reason {reason!r} is not one of {list(self.reasons)}")
        state.blocked[columns] = 1 + self.reasons.index(reason)

    def unblock(self, state: EligibilityState, columns: Columns) -> None:
        """Let these arms be served again."""
        state.blocked[columns] = 0

    def allows(self, state: EligibilityState, columns: Columns) -> Mask:
        """Which of the arms are not blocked, `[C]`."""
        keep: Mask = state.blocked[columns] == 0
        return keep

    def blocks(self, state: EligibilityState, columns: Columns) -> dict[str, int]:
        """Number of the arms that are blocked, by reason."""
        counts = np.bincount(state.blocked[columns], minlength=1 + len(self.reasons))[1:]
        return {reason: int(count) for reason, count in zip(self.reasons, counts, strict=True) if count}

    def mask(self, state: AnyState, request: Request) -> list[tuple[str, Mask]]:
        """Which candidates may be served, `[C]`, for each reason that drops one."""
        active = 0
        for i, rule in enumerate(self.rules):
            if rule.applies(request.viewer):
                active |= 1 << i
        codes = np.empty(request.columns.size, np.int64)
        counts = np.zeros(1 + len(self._codes), np.int64)
        values = request.attributes.values
        dropped = judge(
            request.columns,
            state.blocked,
            state.served,
            state.held,
            np.uint64(active),
            values.get(self.opens, _NOTHING) if self.opens else _NOTHING,
            values.get(self.closes, _NOTHING) if self.closes else _NOTHING,
            values.get(self.stock, _NOTHING) if self.stock else _NOTHING,
            float(request.now),
            self._order,
            codes,
            counts,
        )
        if not dropped:
            return []
        return [(name, codes != code) for name, code in self._codes.items() if counts[code]]

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Take served units from the stock."""
        if self.stock and isinstance(event, Exposure):
            state.served[event.columns] += 1

    def left(self, state: EligibilityState, attributes: Attributes) -> Floats:
        """Units left of each arm, `[K]`: infinite without a stock, 0 where more was served than there is."""
        units = attributes.values.get(self.stock or "", np.full(state.served.size, np.nan))
        return np.where(np.isnan(units), np.inf, np.maximum(units - state.served[: units.size], 0.0))

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """Numbers of arms that are blocked, by reason, and sold out."""
        sold_out = int((self.left(state, attributes) < 1.0).sum())
        return {"blocked": self.blocks(state, np.arange(state.blocked.size)), "sold_out": sold_out}

    def save(self, state: AnyState, columns: int) -> dict[str, NDArray[Any]]:
        """Return the arrays of a state; what is derived from attributes will be derived again."""
        arrays = super().save(state, columns)
        return {**arrays, "held": np.full(columns, self._held_by_new_arms, np.uint64), "seen": np.array([-1])}

    def load(self, arrays: Mapping[str, NDArray[Any]], columns: int) -> EligibilityState:
        """Make a state of saved arrays; raises as `Constraint.load`."""
        state: EligibilityState = super().load(arrays, columns)
        state.seen[0] = -1
        return state

    def check_state(self, state: AnyState) -> None:
        """Refuse blocks for reasons that there are not, and negative counts."""
        super().check_state(state)
        require(bool((state.blocked <= len(self.reasons)).all()), "a block has an unknown reason")
        require(bool((state.served >= 0).all()), "a number of exposures is negative")


@kernel
def judge(
    columns: Columns,
    blocked: NDArray[np.uint8],
    served: NDArray[np.int64],
    held: NDArray[np.uint64],
    active: Any,
    opens: Floats,
    closes: Floats,
    units: Floats,
    now: float,
    order: NDArray[np.int64],
    codes: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """Write the code of what drops each candidate, 0 for nothing, and how many each code drops; answer their number.

    order: codes of NOT_OPEN, SOLD_OUT and each rule.
    """
    dropped = 0
    for i in range(columns.size):
        column = columns[i]
        code = np.int64(blocked[column])
        if code == 0 and column < opens.size and now < opens[column]:  # a NaN compares as False
            code = order[0]
        if code == 0 and column < closes.size and now >= closes[column]:
            code = order[0]
        if code == 0 and column < units.size and units[column] - served[column] < 1.0:
            code = order[1]
        if code == 0 and held[column] & active:
            rule = 0
            while not (held[column] & active) >> np.uint64(rule) & np.uint64(1):
                rule += 1
            code = order[2 + rule]
        codes[i] = code
        counts[code] += 1
        dropped += code != 0
    return dropped
