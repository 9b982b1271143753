"""`seedbed evaluate LOG --policy ...`: read the value of other policies from a log, or say why it cannot be read."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from .._files import replace_file
from ..bandits import evaluation
from ..bandits.evaluation import Estimate
from . import pictures
from .evaluation_log import EvaluationLog, Names, implausible, read_evaluation_log
from .evaluation_targets import Target, read_target

MODELS = ("means", "logistic", "trees", "ridge")
_JUDGES = ("dr", "snips")  # by which the log is judged to carry an answer


def register(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "evaluate",
        help="the value of another policy, read from a log",
        description="Read from a log what other policies would have earned a row: by importance weights (ips, snips), "
        "by a model of rewards (dm), and by both (dr, sndr, switch_dr, dr_os), with intervals, and with one sentence "
        "on whether the log carries an answer. LOG is a CSV or CSV.gz (item, reward, propensity and, where there are "
        "slates, position: the propensity is then that of the item at its position) or the folder of a decision log. "
        "The exit code is 1 where it carries no answer to one of the policies.",
        epilog="example: seedbed evaluate log.csv.gz --policy uniform --policy beliefs.csv --plot evaluation.png",
    )
    parser.add_argument("log", type=Path, metavar="LOG", help="CSV, CSV.gz, or the folder of a decision log")
    parser.add_argument(
        "--policy",
        action="append",
        required=True,
        metavar="POLICY",
        help="'uniform'; a CSV of items with 'probability', or with 'alpha' and 'beta', or 'successes' and 'failures' "
        "of Thompson sampling (FILE:COLUMN=VALUE for some of its lines); or the checkpoint of a bandit; repeatable",
    )
    parser.add_argument(
        "--model",
        choices=MODELS,
        default="means",
        help="of rewards; all but means need the extra learn; default: means",
    )
    parser.add_argument("--folds", type=int, default=3, metavar="N", help="of the cross-fitted model; default: 3")
    parser.add_argument("--clip", type=float, metavar="W", help="largest weight of ips, snips, dr and sndr")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals; default: 0.95")
    parser.add_argument(
        "--interval",
        choices=("auto", "normal", "bootstrap", "empirical_bernstein"),
        default="auto",
        help="default: auto, what fits the estimator and the rewards",
    )
    parser.add_argument(
        "--min-ess", type=float, default=200.0, metavar="N", help="least effective sample size; default: 200"
    )
    parser.add_argument("--seed", type=int, default=0, help="of folds and resamples; default: 0")
    parser.add_argument(
        "--default-reward", type=float, default=0.0, metavar="R", help="of decisions without one; default: 0"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="picture of the estimates, such as evaluation.png")
    parser.add_argument("--out", type=Path, metavar="FILE", help="all numbers, as JSON")
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    names = parser.add_argument_group("columns of a CSV")
    for name, default in (("item", "item_id"), ("reward", "click"), ("propensity", "propensity")):
        names.add_argument(f"--{name}-column", default=default, metavar="NAME", help=f"default: {default}")
    names.add_argument("--position-column", metavar="NAME", help="default: position, if there is one")
    names.add_argument(
        "--context-column", action="append", default=[], metavar="NAME", help="a feature of the row; may be repeated"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read, evaluate, show, write."""
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120)
    _check(options)
    names = Names(
        options.item_column,
        options.reward_column,
        options.propensity_column,
        options.position_column,
        options.context_column,
    )
    log = read_evaluation_log(options.log, names, options.default_reward)
    targets = [read_target(text, log) for text in options.policy]
    found, false = [_estimates(target, log, options, console) for target in targets], implausible(log)
    refusals = [refusal_of(estimates, false) for estimates in found]
    logged = evaluation.ips(
        log.rewards, log.propensities, log.propensities, level=options.level, interval=options.interval, min_ess=0.0
    )
    if options.plot is not None:
        from .evaluation_plot import draw

        draw(options.plot, [target.name for target in targets], found, refusals, logged)
    if options.out is not None:
        replace_file(options.out, _as_json(log, logged, targets, found, refusals))
    _say(console, log, logged)
    for target, estimates, why in zip(targets, found, refusals, strict=True):
        _show(console, target, log, estimates, why, logged)
    return int(any(refusals))


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be, before anything is read."""
    for path in (options.plot, options.out):
        if path is not None and path.exists() and not options.force:
            raise ValueError(f"{path} is there already; replace it with --force")
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path}: there is no folder {path.parent}")
    if options.plot is not None:
        pictures.require("--plot")
    if not options.log.exists():
        raise ValueError(f"{options.log}: there is no such file or folder")


def _estimates(target: Target, log: EvaluationLog, options: argparse.Namespace, console: Console) -> list[Estimate]:
    """Every estimator's answer."""
    told = {"level": options.level, "seed": options.seed, "min_ess": options.min_ess, "interval": options.interval}
    rewards, propensities, action = log.rewards, log.propensities, log.action
    chosen = target.chances[np.arange(action.size), action]
    expected = _expected_rewards(target, log, options, console)
    robust = (rewards, action, propensities, target.chances, expected)
    span = (float(rewards.min(initial=0.0)), float(rewards.max(initial=1.0)))
    told["reward_range"] = span
    return [
        evaluation.ips(rewards, propensities, chosen, options.clip, **told),
        evaluation.snips(rewards, propensities, chosen, options.clip, **told),
        evaluation.dm(target.chances, expected, **told),
        evaluation.dr(*robust, options.clip, **told),
        evaluation.sndr(*robust, options.clip, **told),
        evaluation.switch_dr(*robust, **told),
        evaluation.dr_os(*robust, **told),
    ]


def _expected_rewards(target: Target, log: EvaluationLog, options: argparse.Namespace, console: Console) -> Any:
    """Expected rewards of all arms in all rows, cross-fitted."""
    shared = {"positions": log.positions, "folds": options.folds, "seed": options.seed}
    if options.model == "means":
        return evaluation.arm_means(log.action, log.rewards, len(target.arms), **shared)
    return evaluation.cross_fitted(
        _learner(options.model, log),
        log.contexts,
        log.action,
        log.rewards,
        len(target.arms),
        progress=lambda parts: track(parts, "fitting the model of rewards", console=console, transient=True),
        **shared,
    )


def _learner(model: str, log: EvaluationLog) -> Any:
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.linear_model import LogisticRegression, Ridge
    except ImportError:
        raise ValueError(f"--model {model} needs scikit-learn; install it with: pip install 'seedbed[learn]'") from None
    is_binary = bool(np.isin(log.rewards, (0.0, 1.0)).all())
    if model == "logistic" and not is_binary:
        raise ValueError("--model logistic is for rewards 0 and 1; use means, trees or ridge")
    if model == "trees":
        return (HistGradientBoostingClassifier if is_binary else HistGradientBoostingRegressor)(random_state=0)
    return LogisticRegression(max_iter=1_000) if model == "logistic" else Ridge()


def refusal_of(estimates: list[Estimate], false: str | None) -> str | None:
    """Why the log carries no answer: false propensities, or what the judging estimators say of their weights."""
    return false or next((each.refusal for each in estimates if each.method in _JUDGES and each.refusal), None)


def _say(console: Console, log: EvaluationLog, logged: Estimate) -> None:
    lines = [
        f"{log.action.size:,} rows, {len(log.arms):,} arms, {_figure(logged.value)} a row as it was logged "
        f"({_figure(logged.lower)} to {_figure(logged.upper)})",
        *log.notes,
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _show(
    console: Console,
    target: Target,
    log: EvaluationLog,
    estimates: list[Estimate],
    why: str | None,
    logged: Estimate,
) -> None:
    """A table, and the sentence."""
    table = Table(title=f"{target.name}: reward a row", title_justify="left")
    for heading in ("estimator", "value", f"{100.0 * estimates[0].level:.4g} % interval", "over the log", "ess", ""):
        table.add_column(heading, justify="left" if heading in ("estimator", "") else "right")
    for each in estimates:
        ratio = f"{each.value / logged.value - 1.0:+.0%}" if logged.value > 0.0 else "-"
        table.add_row(
            each.method,
            _figure(each.value),
            f"{_figure(each.lower)} to {_figure(each.upper)}",
            ratio,
            "-" if each.method == "dm" else f"{each.effective_sample_size:,.0f}",
            "no answer" if not each.is_answer else "without the model's error" if each.method == "dm" else "",
        )
    console.print(table)
    unseen = target.chances[:, np.bincount(log.action, minlength=len(target.arms)) == 0].sum() / log.action.size
    if unseen > 1e-6:
        console.print(
            f"{unseen:.2%} of what it chooses are arms that were never logged", highlight=False, soft_wrap=True
        )
    console.print(sentence(target.name, estimates, why, logged), highlight=False, markup=False, soft_wrap=True)


def sentence(name: str, estimates: list[Estimate], why: str | None, logged: Estimate) -> str:
    """Whether the log carries an answer, and which; why: the reason why not, or None."""
    if why is not None:
        return f"NO ANSWER for {name}: {why}."
    best = next(each for each in estimates if each.method == "dr")
    said = f"{_figure(best.value)} a row ({_figure(best.lower)} to {_figure(best.upper)}, by dr)"
    if best.lower > logged.value:
        than = "more than"
    elif best.upper < logged.value:
        than = "less than"
    else:
        than = "which the log cannot tell from"
    return f"ANSWER for {name}: {said}, {than} the {_figure(logged.value)} that were logged."


def _figure(value: float) -> str:
    return f"{value:.4g}" if abs(value) >= 1.0 else f"{value:.5f}"


def _as_json(
    log: EvaluationLog,
    logged: Estimate,
    targets: list[Target],
    found: list[list[Estimate]],
    refusals: list[str | None],
) -> bytes:
    def plain(each: Estimate) -> dict[str, Any]:
        return {name: value if _is_plain(value) else None for name, value in asdict(each).items()}

    content = {
        "rows": log.action.size,
        "arms": len(log.arms),
        "notes": log.notes,
        "logged": plain(logged),
        "policies": [
            {
                "name": target.name,
                "answer": sentence(target.name, some, why, logged),
                "estimates": list(map(plain, some)),
            }
            for target, some, why in zip(targets, found, refusals, strict=True)
        ],
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def _is_plain(value: Any) -> bool:
    return not isinstance(value, float) or np.isfinite(value).item()
