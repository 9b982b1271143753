"""The Open Bandit sample: what the log of the random policy says of the production policy, and the other way round.

`python benchmarks/open_bandit.py` prints the tables. Data: `examples/data/` (Saito et al., arXiv 2008.07146).
"""

import csv
import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seedbed.bandits import Bandit, Thompson, evaluation

DATA = Path(__file__).resolve().parents[1] / "examples" / "data"
POSITIONS, FOLDS, OBP_SEED = 3, 3, 12_345
# the quickstart notebook of the Open Bandit Pipeline, log random-all; the truth is the production policy's own log
PUBLISHED = {"ips": 0.004553, "dm": 0.003545, "dr": 0.004727}
TRUTH = 0.0042
HEAD = ["estimator", "value", *(f"{kind}, 95 %" for kind in ("auto", "normal", "bootstrap", "empirical_bernstein"))]


class Log(NamedTuple):
    """A log: item, position from 0, click and propensity of each row, `[n]` each."""

    action: np.ndarray
    positions: np.ndarray
    clicks: np.ndarray
    propensities: np.ndarray


def read(name):
    """Columns of a table, by name, as text."""
    path = DATA / f"open-bandit-{name}"
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        lines = list(csv.reader(file))
    return dict(zip(lines[0], np.array(lines[1:]).T, strict=True))


def log(name):
    """A log of the sample, such as "random-all"."""
    table = read(f"{name}.csv.gz")
    numbers = {column: table[column].astype(float) for column in ("item_id", "position", "click", "propensity")}
    return Log(
        numbers["item_id"].astype(int), numbers["position"].astype(int) - 1, numbers["click"], numbers["propensity"]
    )


def production(campaign):
    """The production policy: Thompson sampling from its priors."""
    priors = read("production-priors.csv")
    ours = priors["campaign"] == campaign
    items = priors["item"][ours].astype(int).tolist()
    bandit = Bandit(Thompson(), items)
    for item, a, b in zip(items, priors["alpha"][ours].astype(float), priors["beta"][ours].astype(float), strict=True):
        bandit.warm_start([item], strength=a + b, mean=a / (a + b))
    return bandit


def features():
    """Contexts of log random-all, `[n, 20]`, and features of its items, `[80, 4]`, as the pipeline makes them."""
    users, items = read("random-all-users.csv.gz"), read("items-all.csv")
    contexts = [indicators(column)[:, 1:] for column in users.values()]
    order = np.argsort(items["item_id"].astype(int))
    coded = [np.unique(items[f"item_feature_{i}"], return_inverse=True)[1] for i in (1, 2, 3)]
    columns = [*coded, items["item_feature_0"].astype(float)]
    return np.hstack(contexts), np.array(columns, float).T[order]


def indicators(column):
    """One column of 0 and 1 for each value, in their order."""
    values, which = np.unique(column, return_inverse=True)
    return np.eye(values.size)[which]


def pipeline_folds(n):
    """The folds of the published numbers."""
    from sklearn.model_selection import KFold

    folds = np.empty(n, int)
    for fold, (_, rows) in enumerate(KFold(FOLDS, shuffle=True, random_state=OBP_SEED).split(np.empty(n))):
        folds[rows] = fold
    return folds


def estimated_rewards(data, folds=FOLDS, seed=0):
    """Logistic regression, a model a position, as in the notebook."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    contexts, items = features()
    model = LogisticRegression(max_iter=1_000, random_state=OBP_SEED)
    given = {"arm_features": items, "positions": data.positions, "folds": folds, "seed": seed}
    with threadpool_limits(1):  # 25 coefficients: threads only wait for each other
        return evaluation.cross_fitted(model, contexts, data.action, data.clicks, len(items), **given)


def estimators(data, ranks, rewards):
    """Every estimator of the value of a policy with these chances of positions, as functions of its options."""
    target = ranks[:, data.positions].T
    weighted = (data.clicks, data.propensities, target[np.arange(data.action.size), data.action])
    robust = (data.clicks, data.action, data.propensities, target, rewards)
    return {
        "ips": lambda **o: evaluation.ips(*weighted, **o),
        "ips, clip = 10": lambda **o: evaluation.ips(*weighted, clip=10.0, **o),
        "snips": lambda **o: evaluation.snips(*weighted, **o),
        "dm": lambda **o: evaluation.dm(target, rewards, **o),
        "dr": lambda **o: evaluation.dr(*robust, **o),
        "sndr": lambda **o: evaluation.sndr(*robust, **o),
        "switch_dr, tau = 5": lambda **o: evaluation.switch_dr(*robust, tau=5.0, **o),
        "dr_os, lambda = 5": lambda **o: evaluation.dr_os(*robust, lambda_=5.0, **o),
    }


def rows():
    """Value and intervals of each estimator: log random-all, target production."""
    data, ranks = log("random-all"), evaluation.rank_probabilities(production("all"), POSITIONS)
    lines = []
    for name, estimate in estimators(data, ranks, estimated_rewards(data, pipeline_folds(10_000))).items():
        cells = []
        for kind in ("auto", "normal", "bootstrap", "empirical_bernstein"):
            try:
                e = estimate(interval=kind)
            except ValueError:
                cells.append("none")
            else:
                cells.append(
                    f"{1e3 * e.lower:.2f} to {1e3 * e.upper:.2f}" + (f" ({e.interval})" if kind == "auto" else "")
                )
        lines.append([name, f"{1e3 * estimate().value:.3f}", *cells])
    return lines


def spread(seeds=range(20)):
    """Mean and standard deviation of DM and DR over seeds of the folds, `{name: (mean, deviation)}`."""
    data, ranks = log("random-all"), evaluation.rank_probabilities(production("all"), POSITIONS)
    found = {"dm": [], "dr": []}
    for seed in seeds:
        made = estimators(data, ranks, estimated_rewards(data, seed=seed))
        for name, values in found.items():
            values.append(made[name]().value)
    return {name: (float(np.mean(values)), float(np.std(values, ddof=1))) for name, values in found.items()}


def uniform_rows():
    """What the logs of the production policy say of the uniform one: value, worth, and the reason where it is none."""
    lines = []
    for name, n_arms in (("bts-all", 80), ("bts-women", 46)):
        data = log(name)
        for estimator in (evaluation.ips, evaluation.snips):
            e = estimator(data.clicks, data.propensities, np.full(data.clicks.size, 1 / n_arms))
            ends = f"{1e3 * e.value:.3f} ({1e3 * e.lower:.2f} to {1e3 * e.upper:.2f})"
            worth = f"{e.effective_sample_size:,.0f}"
            lines.append([name, e.method, ends, worth, f"{e.max_weight:,.0f}", e.refusal or "an answer"])
    return lines


def page(table):
    """Both tables and what the folds' seeds do, in Markdown; `table` writes one."""
    over = ", ".join(f"{name} {1e3 * m:.3f} +- {1e3 * d:.3f}" for name, (m, d) in spread().items())
    truth = ", ".join(f"{name} {1e3 * value:.3f}" for name, value in PUBLISHED.items())
    return (
        "Clicks in 1,000 impressions under the production policy, from the log of the random one.\n\n"
        + table(HEAD, rows())
        + f"\n\nPublished: {truth}; the production policy's own log: {1e3 * TRUTH:.1f}. Over 20 seeds of the folds "
        f"(mean +- standard deviation): {over}.\n\nThe uniform policy from the logs of the production policy:\n\n"
        + table(["log", "estimator", "clicks in 1,000", "worth in rows", "largest weight", "verdict"], uniform_rows())
    )


if __name__ == "__main__":
    from evidence import table as markdown

    print(page(markdown))
