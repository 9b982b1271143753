"""Rulebook: the versions of the rules that an allocator holds, which of them is in force, and how to go back."""

from ...bandits.checkpoint import Checkpoint, pack, unpack
from .config import ColdStartConfig
from .gates import Gate, GateTable
from .metrics import EXPOSURES, METRICS
from .rules import BucketRules, Rules

OWN = "config"  # version of the rules that the configuration makes
_MOST = 100


class Rulebook:
    """Versions, and the order in which they were put into use: the last of them that is valid now is in force.

    The latest `_MOST` versions are known; older ones are forgotten, but for the one in force.
    """

    def __init__(self, config: ColdStartConfig) -> None:
        own = Rules(version=OWN, buckets=(BucketRules(name="", gates=config.all_gates),))
        self.versions: dict[str, Rules] = {OWN: own}
        self.used: list[str] = [OWN]
        self._set(own)

    def _set(self, rules: Rules) -> None:
        self.in_force = rules
        metrics = [gate.metric for gate in rules.buckets[0].gates]
        self.tables = [GateTable([bucket.gates[i] for bucket in rules.buckets]) for i in range(len(metrics))]
        self.events = [METRICS.index(metric) for metric in metrics]
        self.exposures = [METRICS.index(gate.exposure) for gate in rules.buckets[0].gates]
        self.bars = [bucket.gates[0].bar for bucket in rules.buckets]

    @property
    def counts_others(self) -> bool:
        """Whether a gate of a version that is known counts anything but retention over exposures."""
        gates = (gate for rules in self.versions.values() for gate in rules.buckets[0].gates[1:])
        return any(gate.exposure == METRICS[EXPOSURES] for gate in gates)

    def check(self, rules: Rules) -> None:
        """Refuse rules whose version is known with another content."""
        if not isinstance(rules, Rules):
            raise ValueError(f"rules = {rules!r:.60} are not Rules; read a file of them with `read_rules`")
        known = self.versions.get(rules.version)
        if known is not None and known != rules:
            raise ValueError(
                f"version {rules.version!r} is known with another content; a version never changes, so name a new one"
            )
        if known is None and not _can_be_saved(rules):
            raise ValueError(
                f"made_from of version {rules.version!r} cannot be saved: "
                "numbers, texts, lists and maps of names, not nested deeply, can"
            )

    def use(self, rules: Rules) -> None:
        """Put a version into use above all others."""
        self.check(rules)
        self.versions[rules.version] = self.versions.pop(rules.version, rules)  # the latest comes last
        self.used = [version for version in self.used if version != rules.version] + [rules.version]
        for version in list(self.versions)[:-_MOST]:
            if version not in (OWN, self.in_force.version):
                del self.versions[version]
                self.used = [name for name in self.used if name != version]

    def roll_back(self) -> str:
        """Take the version that was put into use last out of it; return its name."""
        if len(self.used) == 1:
            raise ValueError("there is no version to go back from: the configuration's own bars are in use")
        return self.used.pop()

    def settle(self, now: float) -> bool:
        """Put the version into force that is to be at this time; return whether that is another one."""
        valid = [v for v in self.used if self.versions[v].holds_at(now)]
        rules = self.versions[valid[-1]]  # the configuration's own are always valid
        if rules is self.in_force:
            return False
        self._set(rules)
        return True

    def enforce(self, version: str) -> None:
        """Put a known version into force, as it was when a checkpoint was written."""
        self._set(self.versions[version])

    def index(self, bucket: str) -> int:
        """Place of a bucket in the rules in force."""
        return self.in_force.index(bucket)

    def gates_of(self, place: int) -> tuple[Gate, ...]:
        """Gates of a bucket by its place."""
        return self.in_force.buckets[place].gates


def _can_be_saved(rules: Rules) -> bool:
    """Whether a checkpoint would hold the very same rules."""
    try:
        blob = pack(Checkpoint("rules", {}, {"rules": rules.model_dump(mode="json")}, {}))
        return Rules.model_validate(unpack(blob, "rules").values["rules"]) == rules
    except (ValueError, TypeError, OverflowError, RecursionError):
        return False
