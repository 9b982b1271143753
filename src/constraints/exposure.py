"""Exposure: floors and caps of the probability to be served."""

from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import Field, model_validator

from .base import AnyState, Constraint, Precedence, Request, Shares

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Bounds(Constraint):
    """What floors and caps have in common."""

    share: Share | dict[str, Share]
    by: str | None = None

    def __init__(self, share: float | dict[str, float], by: str | None = None, **fields: Any) -> None:
        super().__init__(**{"share": share, "by": by, **fields})

    @model_validator(mode="after")
    def _check_by(self) -> Self:
        if self.by is None and isinstance(self.share, dict):
            raise ValueError("shares by name are those of groups: say with by= which attribute holds the names")
        return self


class Floor(_Bounds):
    """Each candidate, or each group of candidates, is served with a least probability.

    Of a slate: a least share of its slots. A group's floor goes to its arms as the policy prefers them.

    Parameters
    ----------
    share
        Least probability, in [0, 1]; with `by`, of each group, or a map of the groups' names.
    by
        Attribute that names the groups; None for arms. Arms without it are in no group.

    Examples
    --------
    >>> from seedbed.constraints import Floor
    >>> Floor(0.01).share, Floor({"music": 0.1}, by="category").by
    (0.01, 'category')
    """

    kind: Literal["floor"] = "floor"

    precedence: ClassVar[Precedence] = Precedence.FLOOR

    def shares(self, state: AnyState, request: Request) -> Shares:
        """Least probabilities."""
        if self.by is None:
            return Shares(floor=cast(float, self.share))
        floors = request.attributes.by_group(self.by, self.share, 0.0)
        return Shares(groups=request.codes(self.by), group_floor=floors)


class Cap(_Bounds):
    """Each candidate, or each group of candidates, is served with a largest probability.

    Of a slate: a largest share of its slots. Caps need the propensities of all candidates.

    Parameters
    ----------
    share
        Largest probability, in [0, 1]; with `by`, of each group, or a map of the groups' names.
    by
        Attribute that names the groups; None for arms. Arms without it are in no group.
    max_candidates
        Up to so many candidates, propensities are those of the decision itself.
    refresh
        Decisions for which propensities serve, where there are more candidates.

    Examples
    --------
    >>> from seedbed.constraints import Cap
    >>> Cap(0.2).max_candidates
    200
    """

    kind: Literal["cap"] = "cap"
    max_candidates: Annotated[int, Field(ge=1)] = 200
    refresh: Annotated[int, Field(ge=1)] = 100

    precedence: ClassVar[Precedence] = Precedence.CAP

    def shares(self, state: AnyState, request: Request) -> Shares:
        """Largest probabilities."""
        if self.by is None:
            return Shares(cap=cast(float, self.share))
        caps = request.attributes.by_group(self.by, self.share, 1.0)
        return Shares(groups=request.codes(self.by), group_cap=caps)
