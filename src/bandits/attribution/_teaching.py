"""How a ledger teaches: what is known of each arm by now, and the bandit brought to it by differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._adding import check_additive
from .._random import ArmId
from ._exposures import NEVER, Exposure
from .delays import DelayCurve, DelayCurves
from .rates import Effective, effective

if TYPE_CHECKING:
    from ..bandit import Bandit
    from .ledger import ExposureLedger

GRID = 2.0**20  # amounts are multiples of 1 / GRID: sums up to 2^33 are exact
MOST_CUT = 1_000  # censored exposures that are remembered of an arm

Curve = DelayCurve | DelayCurves


def check(ledger: ExposureLedger, curve: Curve) -> None:
    """Refuse a curve that is not the ledger's, and rewards that are no share of a success."""
    if not isinstance(curve, DelayCurve | DelayCurves):
        raise ValueError(f"curve = {curve!r:.80} is neither a DelayCurve nor DelayCurves; fit one")
    for one in (curve,) if isinstance(curve, DelayCurve) else (curve.pooled, *curve.by_group.values()):
        if one.horizon != ledger.config.horizon:
            raise ValueError(f"the curve's horizon is {one.horizon} s, the ledger's {ledger.config.horizon} s")
    if ledger.config.aggregation != "first" or ledger.config.default_reward != 0.0:
        raise ValueError(
            "rewards on their way can be foreseen for aggregation 'first' and default_reward 0 only; settle"
        )
    if not ledger._are_fractions:
        raise ValueError(
            "rewards on their way can be foreseen for rewards in [0, 1] only, and there were others; settle"
        )


def check_bandit(bandit: Bandit) -> None:
    """Refuse a bandit whose evidence is no count of successes and failures that stays."""
    if not hasattr(bandit, "policy") or not hasattr(bandit.policy, "model"):
        raise ValueError(
            f"bandit = {bandit!r:.80} is not a Bandit; of a bandit under constraints pass its `bandit`; a `Logged` "
            "cannot be taught, as its log would not know: settle, and `update` it"
        )
    model, detector = bandit.policy.model, bandit.change_detector
    if model.kind != "beta" or model.half_life is not None or detector is not None:
        raise ValueError(
            "only the model 'beta' without half_life and change_detector can be taught differences; settle"
        )
    check_additive(bandit)


def arms_of(ledger: ExposureLedger) -> list[ArmId]:
    """All arms of which anything is known, in an order that a checkpoint keeps."""
    arms: dict[ArmId, None] = {}
    for known in (ledger._taught, ledger._matured, ledger._cut):
        arms.update(dict.fromkeys(known))
    arms.update(dict.fromkeys(exposure.arm for _, _, exposure in sorted(ledger._due, key=lambda item: item[:2])))
    return list(arms)


def gone(ledger: ExposureLedger, bandit: Bandit) -> list[ArmId]:
    """Arms of the ledger that the bandit has retired."""
    live = set(bandit.arms)
    missing = [arm for arm in arms_of(ledger) if arm not in live]
    for arm in missing:
        if not bandit.was_retired(arm):
            raise bandit._arms.unknown(arm)
    return missing


def forget(ledger: ExposureLedger, arm: ArmId) -> None:
    """Forget an arm that is no more; its exposures stay until their horizon is over."""
    for known in (ledger._taught, ledger._matured, ledger._cut):
        known.pop(arm, None)


def cut(ledger: ExposureLedger, exposure: Exposure) -> None:
    """Remember a censored exposure for good: how long it was seen, and what it brought until then."""
    of_arm = ledger._cut.setdefault(exposure.arm, [])
    of_arm.append((exposure.end - exposure.at, exposure.value if exposure.rewards else 0.0))
    if len(of_arm) > MOST_CUT:
        del of_arm[0]


def known(
    ledger: ExposureLedger, arm: ArmId, now: float, curve: Curve, prior: tuple[float, float], level: float = 0.95
) -> Effective:
    """What is known of an arm: settled exposures, censored ones, and pending ones by their age."""
    n, s = ledger._matured.get(arm, (0.0, 0.0))
    ages, counts, rewards = [ledger.config.horizon], [n], s
    for age, reward in ledger._cut.get(arm, ()):
        ages.append(age)
        rewards += reward
    for exposure in ledger._pending.get(arm, {}).values():
        seen_until = now if exposure.censored_at == NEVER else min(now, exposure.end)
        ages.append(seen_until - exposure.at)
        rewards += exposure.value  # 0 without any
    counts.extend([1.0] * (len(ages) - 1))
    of_arm = curve if isinstance(curve, DelayCurve) else curve[arm]
    return effective(np.array(ages), rewards, of_arm, prior, level, counts=np.array(counts))


def teach(ledger: ExposureLedger, bandit: Bandit, now: float, curve: Curve) -> int:
    """Teach the differences: corrections first, which alone can be refused."""
    model: Any = bandit.policy.model
    prior, live = model.prior, set(bandit.arms)
    more: list[tuple[ArmId, int, float]] = []
    less: list[tuple[ArmId, int, float]] = []
    for arm in arms_of(ledger):
        if arm not in live:
            continue
        before = ledger._taught.get(arm, (0.0, 0.0))
        for side, amount in enumerate(known(ledger, arm, now, curve, prior).evidence):
            change = round(amount * GRID) / GRID - before[side]
            if change:
                (more if change > 0.0 else less).append((arm, side, abs(change)))
    for changes, apply, sign in ((less, bandit.correct, -1.0), (more, bandit.update, 1.0)):
        _apply(changes, apply)
        for arm, side, change in changes:
            ledger._taught.setdefault(arm, [0.0, 0.0])[side] += sign * change
    return len({arm for arm, _, _ in more + less})


def _apply(changes: list[tuple[ArmId, int, float]], apply: Any) -> None:
    if changes:
        arms, sides, amounts = zip(*changes, strict=True)
        apply(list(arms), 1.0 - np.array(sides, np.float64), np.array(amounts))
