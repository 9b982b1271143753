"""All numbers of a simulated comparison, as plain values for files."""

import csv
import gzip
import importlib.metadata
import io
import json
import math
import platform
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from .._files import replace_file
from ..allocators.market import Comparison, Interval
from ..allocators.market.results import MINUTES_KEPT, STAGES, as_plain

SUMMARY, MINUTES = "summary.json", "minutes.csv.gz"


def summarise(found: Comparison, options: dict[str, Any]) -> dict[str, Any]:
    """Everything that the tables show, and what it depends on."""
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "numba")}
    return {
        "seedbed": __version__,
        "versions": {"python": platform.python_version(), **versions},
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in options.items()},
        "minutes": found.minutes,
        "start_hour": found.start_hour,
        "seeds": list(found.seeds),
        "reference": found.reference,
        "verdict": found.verdict(),
        "policies": {policy: _of_policy(found, policy) for policy in found.policies},
        "lives": [as_plain(life) for life in found.lives()],
        "rules": {"version": found.fitted.rules.version, "prior": list(found.fitted.prior), "bar": found.fitted.bar},
        "market": found.config.model_dump(mode="json"),
    }


def _of_policy(found: Comparison, policy: str) -> dict[str, Any]:
    results = found.of(policy)
    out: dict[str, Any] = {
        "measures": {
            measure: {**_plain(found.mean(policy, measure)), "each": _finite(found.values(policy, measure).tolist())}
            for measure in results[0].measures
        },
        "rooms": [result.n_rooms for result in results],
        "exposure_by_decile": np.mean([result.deciles for result in results], axis=0).tolist(),
        "limits": {
            measure: {"limit": kept.limit, "is_inside": kept.is_inside} for measure, kept in found.kept(policy).items()
        },
    }
    stages = found.stages(policy)
    if stages is not None:
        out["rooms_ever_in_stage"] = dict(zip(STAGES, stages[1].tolist(), strict=True))
    if policy != found.reference:
        out["minus_reference"] = {
            measure: {
                "difference": _plain(found.difference(policy, found.reference, measure)),
                "relative": _plain(found.relative(policy, found.reference, measure)),
            }
            for measure in results[0].measures
            if measure in found.of(found.reference)[0].measures
        }
    return out


def _plain(interval: Interval) -> dict[str, Any]:
    values: dict[str, Any] = _finite(interval._asdict())
    return values


def _finite(value: Any) -> Any:
    """None in place of what was not measured: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_summary(summary: dict[str, Any], path: Path) -> None:
    """Write it as JSON, in one step."""
    replace_file(path, json.dumps(summary, indent=1, allow_nan=False).encode() + b"\n")


def write_minutes(found: Comparison, path: Path) -> None:
    """Write a row a policy and minute, means over the replicates; stages for the policies that have them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["policy", "minute", *MINUTES_KEPT, *(f"in_{stage}" for stage in STAGES)])
    for policy in found.policies:
        sums = np.mean([result.by_minute for result in found.of(policy)], axis=0)
        stages = found.stages(policy)
        for minute in range(found.minutes):
            row = [f"{value:.10g}" for value in sums[:, minute].tolist()]
            row += [""] * len(STAGES) if stages is None else [f"{n:.10g}" for n in stages[0][:, minute].tolist()]
            writer.writerow([policy, minute, *row])
    replace_file(path, gzip.compress(text.getvalue().encode(), mtime=0))
