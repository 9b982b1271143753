"""A bandit under constraints to its checkpoint and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from ..bandits import Bandit
from ..bandits.checkpoint import Checkpoint, is_count, pack, require, take, unpack
from .attributes import Attributes
from .base import Constraint
from .baseline import Baseline
from .budget import Budget
from .dual import DualPrice
from .eligibility import Eligibility
from .exposure import Cap, Floor
from .fairness import FairShare
from .frequency import FrequencyCap
from .guardrail import Guardrail
from .inequality import Concentration, HeadCap
from .knapsack import Knapsack
from .objective import EpsilonConstraint, Objective
from .protected import Protected
from .quality import Demotion, LowQuality
from .slate import ExploreSlots, Slate
from .value import Value

if TYPE_CHECKING:
    from .constrained import Constrained

KIND = "constrained"
_EPOCHS = 2**22  # of which the decisions have numbers of 62 bits, as EPOCH in `_told` makes them
AnyConstraint = Annotated[
    (
        Baseline | Budget | Cap | Concentration | Demotion | DualPrice | Eligibility | EpsilonConstraint | ExploreSlots
        | FairShare | Floor | FrequencyCap | Guardrail | HeadCap | Knapsack | LowQuality | Objective | Protected
        | Slate | Value
    ),
    Field(discriminator="kind"),
]  # fmt: skip


def save(constrained: Constrained) -> bytes:
    """Copy the state under the locks, then write it."""
    with constrained._lock, constrained.bandit._lock:
        constrained._fit()
        columns = constrained.bandit.columns
        values, arrays = constrained._attributes.save(columns)
        config = {"constraints": [constraint.model_dump(mode="json") for constraint in constrained.constraints]}
        values["bandit"] = constrained.bandit.to_bytes()
        arrays |= constrained._chain.save(columns)
        refreshed = constrained._refreshed
        if not np.isnan(refreshed.chances).all():
            values["age"], arrays["chances"] = refreshed.age, refreshed.chances[:columns].copy()
    return pack(Checkpoint(KIND, config, values, arrays))


def load(cls: type[Constrained], blob: bytes, constraints: list[Constraint] | None) -> Any:
    """Check everything, then build it."""
    checkpoint = unpack(blob, KIND)
    values, arrays = checkpoint.values, checkpoint.arrays
    given = take(checkpoint.config, "constraints", lambda v: isinstance(v, list), "a list")
    is_own = constraints is None
    if constraints is None:
        try:
            read: Any = TypeAdapter(list[AnyConstraint]).validate_python(given)
            constraints = read
        except (ValidationError, TypeError, RecursionError) as error:
            require(False, f"its constraints are not those of this version ({type(error).__name__})")
    elif [constraint.model_dump(mode="json") for constraint in constraints] != given:
        raise ValueError("the constraints given are not those of the checkpoint; pass equal ones, in the same order")
    assert constraints is not None
    bandit = Bandit.from_bytes(take(values, "bandit", lambda v: isinstance(v, bytes), "bytes"))
    require(bandit.epoch < _EPOCHS, f"epoch = {bandit.epoch} is more than decisions can be numbered in")
    if is_own:  # before states of that size are made
        needed = sum(_least_bytes(constraint, bandit.columns) for constraint in constraints)
        require(needed <= sum(array.nbytes for array in arrays.values()), "it lacks arrays of its constraints")
    try:
        constrained = cls(bandit, constraints)
    except ValueError as error:
        require(False, str(error))
        raise
    columns = bandit.columns
    constrained._attributes = Attributes.load(values, arrays, columns)
    constrained._attributes.fit(bandit._uids.size)
    if "chances" in arrays:
        chances = arrays.pop("chances")
        fits = chances.dtype == np.float64 and chances.shape == (columns,)
        require(fits and not bool((chances < 0.0).any() | (chances > 1.0 + 1e-9).any()), "its chances are none")
        constrained._refreshed.chances = chances
        constrained._refreshed.age = take(values, "age", is_count, "a count")
        constrained._refreshed.fit(bandit._uids.size)
    constrained._chain.load(arrays, columns)
    try:
        with constrained._lock, bandit._lock:
            constrained._fit()
    except ValueError as error:
        require(False, f"its states do not fit its attributes or its time ({error})")
    return constrained


def _least_bytes(constraint: Constraint, columns: int) -> int:
    """Bytes of the arrays of a state of so many arms in which nothing has happened."""
    arrays, arms = constraint.init(1)._asdict(), constraint.arm_fields
    return sum(array.nbytes * (columns if name in arms else 1) for name, array in arrays.items())
