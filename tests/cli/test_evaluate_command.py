"""`seedbed evaluate`: what it reads, which policies it can evaluate, what it says and writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from seedbed.bandits import Bandit, LinThompson, Thompson, evaluation
from seedbed.cli import main
from seedbed.constraints import Constrained
from seedbed.storage import DecisionLog, Logged

DATA = Path(__file__).parents[2] / "examples" / "data"
RATES = {"a": 0.1, "b": 0.2, "c": 0.6}


def run(capsys, *arguments):
    code = main(["evaluate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, " ".join(captured.out.split()), captured.err


def write(path, lines, head="item_id,click,propensity"):
    path.write_text("\n".join([head, *(",".join(map(str, line)) for line in lines)]) + "\n")
    return path


@pytest.fixture
def log(tmp_path):
    """3,000 rows of three items, chosen with chances .5, .3, .2."""
    rng = np.random.Generator(np.random.PCG64(3))
    chances = dict(zip(RATES, (0.5, 0.3, 0.2), strict=True))
    items = rng.choice(list(RATES), 3_000, p=list(chances.values()))
    return write(tmp_path / "log.csv", [(i, int(rng.random() < RATES[i]), chances[i]) for i in items.tolist()])


@pytest.fixture
def numbers(tmp_path):
    """The numbers of a run, from its file."""

    def read():
        found = json.loads((tmp_path / "out.json").read_text())
        return [{each["method"]: each for each in policy["estimates"]} for policy in found["policies"]]

    return read


def test_a_fixed_policy_by_hand(capsys, log, tmp_path, numbers):
    """IPS is the mean of reward x target / propensity; the truth is .1 x .1 + .1 x .2 + .8 x .6."""
    policy = write(tmp_path / "policy.csv", [("a", 0.1), ("b", 0.1), ("c", 0.8)], "item,probability")
    code, out, _ = run(capsys, log, "--policy", policy, "--out", tmp_path / "out.json")
    assert code == 0
    rows = [line.split(",") for line in log.read_text().split()[1:]]
    target = {"a": 0.1, "b": 0.1, "c": 0.8}
    expected = np.mean([float(reward) * target[item] / float(propensity) for item, reward, propensity in rows])
    (found,) = numbers()
    assert list(found) == ["ips", "snips", "dm", "dr", "sndr", "switch_dr", "dr_os"]
    assert found["ips"]["value"] == pytest.approx(expected, rel=1e-12)
    for method in ("ips", "snips", "dr", "sndr"):
        assert found[method]["lower"] < 0.51 < found[method]["upper"]
    assert f"3,000 rows, 3 arms, {np.mean([float(row[1]) for row in rows]):.5f} a row as it was logged" in out
    assert f"ANSWER for policy.csv: {found['dr']['value']:.5f} a row (" in out
    assert "more than the 0.2" in out


def test_several_policies_with_a_picture(capsys, log, tmp_path, numbers):
    beliefs = write(tmp_path / "beliefs.csv", [("x", "a", 5, 5), ("y", "a", 1, 9)], "who,item,alpha,beta")
    for item in "bc":
        beliefs.write_text(beliefs.read_text() + f"x,{item},9,1\n")
    picture = tmp_path / "evaluation.png"
    code, out, _ = run(
        capsys, log, "--policy", "uniform", "--policy", f"{beliefs}:who=x", "--plot", picture, "--out",
        tmp_path / "out.json",
    )  # fmt: skip
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    uniform, believed = numbers()
    assert uniform["ips"]["value"] == pytest.approx(0.3, abs=5 * 0.02)
    assert "which the log cannot tell from" in out or "more than" in out
    bandit = Bandit(Thompson(), ["a", "b", "c"])
    for arm, good, bad in (("a", 5, 5), ("b", 9, 1), ("c", 9, 1)):
        bandit.warm_start([arm], strength=good + bad, mean=good / (good + bad))
    chances = dict(zip("abc", bandit.propensities().tolist(), strict=True))
    rows = [line.split(",") for line in log.read_text().split()[1:]]
    expected = np.mean([float(reward) * chances[item] / float(propensity) for item, reward, propensity in rows])
    assert believed["ips"]["value"] == pytest.approx(expected, rel=1e-9)
    for option in ("--plot", "--out"):
        code, _, error = run(capsys, log, "--policy", "uniform", option, picture)
        assert (code, "is there already; replace it with --force" in error) == (1, True)
    assert run(capsys, log, "--policy", "uniform", "--plot", picture, "--force")[0] == 0


def test_counts_and_a_checkpoint_are_policies(capsys, log, tmp_path, numbers):
    """Successes and failures are told to a uniform prior; a bandit that has learnt the same says the same."""
    counts = write(tmp_path / "counts.csv", [("a", 3, 7), ("b", 2, 8), ("c", 0, 0)], "item,successes,failures")
    bandit = Bandit(Thompson(), ["a", "b", "c", "never"])
    bandit.update(["a"] * 10 + ["b"] * 10, [1.0] * 3 + [0.0] * 7 + [1.0] * 2 + [0.0] * 8)
    bandit.pause_arms(["never"])
    (tmp_path / "state").write_bytes(bandit.to_bytes())
    out = tmp_path / "out.json"
    assert run(capsys, log, "--policy", counts, "--policy", tmp_path / "state", "--out", out)[0] == 0
    one, other = numbers()
    for method, each in one.items():
        assert each["value"] == pytest.approx(other[method]["value"], rel=1e-9)
    bandit.resume_arms(["never"])
    (tmp_path / "state").write_bytes(bandit.to_bytes())
    code, said, _ = run(capsys, log, "--policy", tmp_path / "state")
    assert code == 1
    assert "of what it chooses are arms that were never logged" in said
    assert "NO ANSWER for state: the mean weight is" in said


def test_the_open_bandit_sample(capsys, tmp_path, numbers):
    """As published: IPW .004553 (by their simulated target, an error of some 1e-5); the women's log has no answer."""
    priors = f"{DATA / 'open-bandit-production-priors.csv'}:campaign=all"
    code, out, _ = run(
        capsys, DATA / "open-bandit-random-all.csv.gz", "--policy", priors, "--out", tmp_path / "out.json"
    )
    assert code == 0
    assert numbers()[0]["ips"]["value"] == pytest.approx(0.004553, abs=5e-5)
    assert "ANSWER for open-bandit-production-priors.csv:campaign=all: 0.004" in out
    code, out, _ = run(capsys, DATA / "open-bandit-bts-women.csv.gz", "--policy", "uniform")
    assert code == 1
    assert "NO ANSWER for uniform: the log is worth 2.078 rows of the evaluated policy, of 10000" in out


@pytest.mark.parametrize("model", ["logistic", "trees", "ridge"])
def test_models_of_rewards_by_context(capsys, tmp_path, model, numbers):
    """Where rewards depend on the context, a model that reads it leaves DR a narrower interval than means do."""
    rng = np.random.Generator(np.random.PCG64(5))
    lines = []
    for _ in range(2_000):
        country, age, item = rng.choice(["de", "fr"]), rng.normal(), rng.choice(["a", "b"])
        rate = 0.9 if country == "de" else 0.1
        lines.append((item, int(rng.random() < rate), 0.5, country, age))
    path = write(tmp_path / "log.csv", lines, "item_id,click,propensity,country,age")
    policy = write(tmp_path / "policy.csv", [("a", 0.95), ("b", 0.05)], "item,probability")
    contexts = ["--context-column", "country", "--context-column", "age"]
    out = ["--out", tmp_path / "out.json", "--force", "--interval", "normal"]
    widths = []
    for options in ([], ["--model", model, *contexts]):
        with threadpool_limits(1):  # two threads wait for each other where others work beside them
            assert run(capsys, path, "--policy", policy, *out, *options)[0] == 0
        estimate = numbers()[0]["dr"]
        widths.append(estimate["upper"] - estimate["lower"])
    assert widths[1] < 0.9 * widths[0]


def test_a_decision_log(capsys, tmp_path, numbers):
    """Slates among candidates; the target is what a bandit would have done with the same candidates."""
    rng, truth = np.random.Generator(np.random.PCG64(7)), {f"arm-{i}": 0.1 * i for i in range(8)}
    target = Bandit(Thompson(), truth, seed=2)
    target.update(list(truth) * 3, [round(rate) for rate in truth.values()] * 3)
    (tmp_path / "state").write_bytes(target.to_bytes())
    with DecisionLog(tmp_path / "log") as log:
        ranker = Logged(Bandit(Thompson(), truth, seed=1), log)
        expected, n = [], 0
        for i in range(400):
            offered = rng.choice(list(truth), 5, replace=False).tolist()
            decision = ranker.select(offered, 2, propensities=True)
            rewards = [float(rng.random() < truth[arm]) for arm in decision.arms]
            chances = dict(zip(offered, target.propensities(offered, 2).tolist(), strict=True))
            for arm, reward, propensity in zip(decision.arms, rewards, decision.propensities, strict=True):
                n += 1
                if i % 20:
                    expected.append(reward * chances[arm] / propensity)
            if i % 20:
                ranker.update(decision.arms, rewards, decision=decision)
    code, out, _ = run(
        capsys, tmp_path / "log", "--policy", tmp_path / "state", "--min-ess", 20, "--out", tmp_path / "out.json"
    )
    assert f"{n} rows, 8 arms" in out
    assert "40 chosen arms have no reward in the log: each counts as 0" in out
    assert numbers()[0]["ips"]["value"] == pytest.approx(sum(expected) / n, rel=1e-9)
    assert code == 0
    assert run(capsys, tmp_path / "log", "--policy", "uniform", "--min-ess", 20)[0] == 0
    typo = write(tmp_path / "typo.csv", [("arm-1", 0.1), ("arm-l", 0.9)], "item,probability")
    code, _, error = run(capsys, tmp_path / "log", "--policy", typo)
    assert code == 1
    assert "90.00% of its probability is on items that the log never offered, such as 'arm-l'; check the ids" in error
    (tmp_path / "state").write_bytes(Constrained(target).to_bytes())
    code, _, error = run(capsys, tmp_path / "log", "--policy", tmp_path / "state")
    assert (code, "save `ranker.bandit.to_bytes()`" in error) == (1, True)


def test_a_decision_log_with_contexts(capsys, tmp_path, numbers):
    rng = np.random.Generator(np.random.PCG64(7))
    bandit = Bandit(LinThompson(n_features=2), ["a", "b", "c"], seed=1)
    target = Bandit(LinThompson(n_features=2), ["a", "b", "c"], seed=1)
    target.update(["a", "b"], [1.0, -1.0], context=np.eye(2))
    (tmp_path / "state").write_bytes(target.to_bytes())
    expected = []
    with DecisionLog(tmp_path / "log") as log:
        ranker = Logged(bandit, log)
        for _ in range(100):
            context = rng.normal(size=2)
            decision = ranker.select(context=context, propensities=True)
            chance = target.propensities(context=context)["abc".index(decision.arms[0])]
            reward = float(rng.random())
            expected.append(reward * chance / decision.propensities[0])
            log.reward(decision, decision.arms[0], reward)
    out = ["--min-ess", 1, "--out", tmp_path / "out.json", "--model", "ridge"]
    assert run(capsys, tmp_path / "log", "--policy", tmp_path / "state", *out)[0] == 0
    assert numbers()[0]["ips"]["value"] == pytest.approx(np.mean(expected), rel=1e-9)


def test_a_decision_log_that_tells_nothing(capsys, tmp_path):
    from seedbed.bandits import UCB1

    with DecisionLog(tmp_path / "mute") as log:
        Logged(Bandit(Thompson(), ["a", "b"]), log).select()
    code, _, error = run(capsys, tmp_path / "mute", "--policy", "uniform")
    assert (code, "1 decisions have no propensities" in error) == (1, True)
    with DecisionLog(tmp_path / "sure") as log:
        Logged(Bandit(UCB1(), ["a", "b"]), log).select(propensities=True)
    code, _, error = run(capsys, tmp_path / "sure", "--policy", "uniform")
    assert (code, "no decisions that were left to chance" in error) == (1, True)
    (tmp_path / "empty").mkdir()
    code, _, error = run(capsys, tmp_path / "empty", "--policy", "uniform")
    assert (code, "there is no decision log in" in error) == (1, True)
    code, _, error = run(capsys, tmp_path / "mute", "--policy", "uniform", "--context-column", "x")
    assert (code, "--context-column is for logs in CSV" in error) == (1, True)


def test_propensities_that_are_false_are_no_answer(capsys, log, tmp_path):
    """Said to be uniform, as the policy is: all weights are one, and nothing else would tell."""
    rows = [(*line.split(",")[:2], 1 / 3) for line in log.read_text().split()[1:]]
    code, out, _ = run(capsys, write(tmp_path / "false.csv", rows), "--policy", "uniform")
    assert code == 1
    assert "NO ANSWER for uniform: arm 'a' was chosen in 1" in out
    assert "times as often as the propensities say: they are not true." in out
    assert run(capsys, log, "--policy", "uniform")[0] == 0


def test_arms_that_came_and_went_need_their_candidates(capsys, tmp_path):
    with DecisionLog(tmp_path / "log") as log:
        ranker = Logged(Bandit(Thompson(), ["a", "b"]), log)
        for _ in range(30):
            ranker.select(propensities=True)
        ranker.add_arms(["c"])
        for _ in range(30):
            ranker.select(propensities=True)
    code, _, error = run(capsys, tmp_path / "log", "--policy", "uniform")
    assert code == 1
    assert "30 decisions chose among all 2 arms that there were, and 3 arms are known from the log" in error


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([("a", 1, 0.0)], "line 2, column 'propensity': '0.0' is not a probability in (0, 1]"),
        ([("a", 1, 1.5)], "line 2, column 'propensity': '1.5' is not a probability in (0, 1]"),
        ([("a", 1, "")], "line 2, column 'propensity': '' is not a number"),
        ([("a", "nan", 0.5)], "line 2, column 'click': 'nan' is not a number"),
        ([("a", 1, 0.5), ("", 1, 0.5)], "line 3, column 'item_id': '' is empty"),
        ([("a", 1)], "line 2: 2 cells, but the header has 3 columns"),
        ([], "there is no row below the header"),
    ],
)
def test_a_bad_log_is_named_by_line_and_column(capsys, tmp_path, lines, message):
    code, _, error = run(capsys, write(tmp_path / "log.csv", lines), "--policy", "uniform")
    assert code == 1
    assert message.replace("'' is empty", "is empty") in error


def test_a_log_without_propensities(capsys, tmp_path):
    path = write(tmp_path / "log.csv", [("a", 1)], "item_id,click")
    code, _, error = run(capsys, path, "--policy", "uniform")
    assert code == 1
    assert "without the propensities of what was logged no policy can be evaluated" in error


@pytest.mark.parametrize(
    ("head", "lines", "message"),
    [
        ("item,probability", [("a", 0.5), ("b", 0.2)], "its probabilities sum to 0.7, not to 1"),
        ("item,probability", [("a", 0.5), ("a", 0.5)], "'a' is the item of an earlier line too; keep the lines"),
        ("item,probability", [("a", -1)], "line 2, column 'probability': '-1' is not a number, 0 or more"),
        ("item,alpha,beta", [("a", 0, 1)], "item 'a': alpha and beta must be above 0"),
        ("item,alpha,beta", [("x", 1, 1)], "it knows none of the arms of the log, such as 'a'"),
        ("item,alpha,beta", [], "no line is of this policy"),
        ("item,weight", [("a", 1)], "a policy needs a column 'probability'"),
        ("name,probability", [("a", 1)], "there is no column 'item_id'"),
    ],
)
def test_a_bad_policy_says_why(capsys, log, tmp_path, head, lines, message):
    policy = write(tmp_path / "policy.csv", lines, head)
    code, _, error = run(capsys, log, "--policy", policy)
    assert code == 1
    assert message in error


def test_other_bad_options(capsys, log, tmp_path):
    (tmp_path / "state").write_bytes(b"SEEDBED\x1a" + bytes(40))
    policy = write(tmp_path / "policy.csv", [("a", 1)], "item,probability")
    for options, message in (
        (["--policy", "best"], "--policy 'best' is neither 'uniform' nor a file"),
        (["--policy", f"{policy}:a"], "'a' is not COLUMN=VALUE"),
        (["--policy", f"{policy}:b=1"], "there is no column 'b'"),
        (["--policy", tmp_path / "state"], "this checkpoint cannot be read"),
        (["--policy", "uniform", "--level", 2], "level must be in (0, 1)"),
        (["--policy", "uniform", "--folds", 1], "folds"),
        (["--policy", "uniform", "--clip", -1], "clip"),
        (["--policy", "uniform", "--plot", tmp_path / "no" / "x.png"], "there is no folder"),
        (["--policy", "uniform", "--reward-column", "x"], "there is no column 'x'"),
    ):
        code, _, error = run(capsys, log, *options)
        assert (code, message in error) == (1, True), error
    code, _, error = run(capsys, tmp_path / "missing.csv", "--policy", "uniform")
    assert (code, "there is no such file or folder" in error) == (1, True)
    rewards = write(tmp_path / "rewards.csv", [("a", 2.5, 0.5)] * 4)
    code, _, error = run(capsys, rewards, "--policy", "uniform", "--model", "logistic")
    assert (code, "--model logistic is for rewards 0 and 1" in error) == (1, True)


def test_without_the_extra_it_says_what_to_install(capsys, log, monkeypatch):
    for name in ("sklearn", "sklearn.ensemble", "sklearn.linear_model"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    code, _, error = run(capsys, log, "--policy", "uniform", "--model", "ridge")
    assert (code, "pip install 'seedbed[learn]'" in error) == (1, True)


def test_what_it_says_is_what_the_library_says(capsys, log):
    """The table's figures are those of the functions."""
    _, out, _ = run(capsys, log, "--policy", "uniform", "--clip", 1.2)
    rows = [line.split(",") for line in log.read_text().split()[1:]]
    rewards, propensities = (np.array([float(row[i]) for row in rows]) for i in (1, 2))
    estimate = evaluation.snips(rewards, propensities, np.full(3_000, 1 / 3), 1.2)
    assert f"snips │ {estimate.value:.5f} │ {estimate.lower:.5f} to {estimate.upper:.5f}" in out
