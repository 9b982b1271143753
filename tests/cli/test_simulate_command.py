"""`seedbed simulate` as a user meets it: tables, files, pictures, refusals."""

import csv
import gzip
import json
import sys

import pytest

from seedbed.allocators.cold_start import write_rules
from seedbed.allocators.market import MarketConfig, compare
from seedbed.allocators.market.lineup import fit_history, route_m
from seedbed.cli import main
from seedbed.cli.policy_file import FromFile, parsed

CONFIG = MarketConfig(rooms_per_day=3_000, exposures_per_day=1_500_000)
QUICK = ("--minutes", 30, "--rooms", 3_000, "--history-minutes", 60)
PICTURES = {"deciles.png", "retained.png", "guardrails.png", "stages-M.png", "lives.png"}
NUMBERS = {"summary.json", "minutes.csv.gz"}


def run(capsys, *arguments):
    code = main(["simulate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, " ".join(captured.out.split()), " ".join(captured.err.split())


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def fitted():
    return fit_history(CONFIG, 7, 60)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Two policies, two replicates, with pictures."""
    folder = tmp_path_factory.mktemp("simulated") / "new" / "folder"
    options = ("--replicates", 2, "--seed", 7, "--policy", "M", "--policy", "uniform", "--out", folder)
    assert main(["simulate", *map(str, (*QUICK, *options))]) == 0
    return folder


def test_numbers_are_those_of_the_comparison(played, fitted):
    summary = json.loads((played / "summary.json").read_text())
    found = compare(["M", "uniform"], CONFIG, [7, 8], 30, start_hour=19.0, fitted=fitted)
    assert summary["verdict"] == found.verdict()
    assert summary["rules"]["bar"] == found.fitted.bar
    assert (summary["seeds"], summary["start_hour"], summary["reference"]) == ([7, 8], 19.0, "M")
    for policy in ("M", "uniform"):
        for measure, value in summary["policies"][policy]["measures"].items():
            interval = found.mean(policy, measure)
            assert value["mean"] == (interval.mean if interval.n else None), measure
            assert len(value["each"]) == 2
    difference = summary["policies"]["uniform"]["minus_reference"]["retained"]
    assert difference["relative"]["high"] == found.relative("uniform", "M").high
    assert difference["difference"]["low"] == found.difference("uniform", "M").low
    assert summary["market"]["exposures_per_day"] == 1_500_000
    assert {"python", "numpy", "numba"} <= set(summary["versions"])
    assert summary["options"]["replicates"] == 2
    with gzip.open(played / "minutes.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    for policy in ("M", "uniform"):
        own = [row for row in rows if row["policy"] == policy]
        retained = sum(float(row["retained"]) for row in own) / sum(float(row["exposures"]) for row in own)
        assert retained == pytest.approx(found.mean(policy, "retained").mean, rel=1e-3)
        assert [row["minute"] for row in own] == [str(minute) for minute in range(30)]
        assert all((row["in_SEED"] == "") == (policy == "uniform") for row in own)


def test_pictures_are_drawn(played):
    assert names(played) >= NUMBERS | PICTURES - {"lives.png"}
    for path in played.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 10_000


def test_tables(capsys, tmp_path):
    code, out, _ = run(
        capsys, *QUICK, "--replicates", 2, "--policy", "A", "--policy", "M", "--no-plots", "--out", tmp_path / "x"
    )
    assert code == 0
    for text in (
        "30 minutes from 19:00",
        "means over 2 paired replicates",
        "to M",
        "For creators: what M did with rooms",
        "false kills",
        "rules 'history'",
        "Verdict: ",
        "Written into",
    ):
        assert text in out
    assert names(tmp_path / "x") == NUMBERS


def test_one_replicate_says_that_it_carries_no_interval(capsys, tmp_path):
    one = (*QUICK, "--replicates", 1, "--policy", "pools", "--policy", "B", "--no-plots", "--out", tmp_path)
    _, out, _ = run(capsys, *one)
    assert "One replicate carries no interval" in out
    assert "±" not in out
    assert "For creators" not in out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["reference"] == "pools"
    assert summary["policies"]["B"]["measures"]["retained"]["low"] is None


def test_results_are_replaced_only_when_told(capsys, tmp_path):
    quick = (*QUICK, "--replicates", 1, "--policy", "uniform", "--no-plots", "--out", tmp_path)
    assert run(capsys, *quick)[0] == 0
    before = (tmp_path / "summary.json").read_bytes()
    code, _, error = run(capsys, *quick, "--seed", 9)
    assert (code, (tmp_path / "summary.json").read_bytes()) == (1, before)
    assert "holds a simulation already; replace it with --force" in error
    for stale in PICTURES:
        (tmp_path / stale).write_bytes(b"of an earlier simulation")
    (tmp_path / "notes.txt").write_text("mine")
    assert run(capsys, *quick, "--seed", 9, "--force")[0] == 0
    assert (tmp_path / "summary.json").read_bytes() != before
    assert names(tmp_path) == {*NUMBERS, "notes.txt"}


OWN = """
import numpy as np

calls = []

def constant(view):
    calls.append(view.now)
    assert len(calls) == view.now / 60 + 1  # nothing is left of another play
    return np.full(view.rooms.size, view.exposures / view.rooms.size)

class Best:
    def __init__(self):
        self.heard = 0

    def allocate(self, view):
        assert self.heard * 60 == view.now
        given = np.zeros(view.rooms.size)
        given[0] = 1
        return given

    def learn(self, report):
        self.heard += 1

def broken(view):
    return {}["nothing"]

number = 3
"""


def test_a_policy_of_one_s_own(capsys, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    own = ("--policy", f"{file}:constant", "--policy", f"{file}:Best")
    quick = (*QUICK, "--replicates", 2, "--no-plots", "--out", tmp_path / "out")
    code, out, _ = run(capsys, *quick, *own, "--policy", "uniform")
    assert code == 0
    assert "constant" in out
    policies = json.loads((tmp_path / "out" / "summary.json").read_text())["policies"]
    assert policies["constant"]["measures"]["used"]["mean"] == 1.0
    assert policies["Best"]["measures"]["used"]["mean"] < 0.01
    with pytest.raises(RuntimeError, match=r"mine.py:broken failed in minute 0: KeyError\('nothing'\)"):
        run(capsys, *quick, "--force", "--policy", f"{file}:broken")
    for name, message in (("absent", "has no function or class 'absent'"), ("number", "has no function or class")):
        code, _, error = run(capsys, *quick, "--force", "--policy", f"{file}:{name}")
        assert code == 1
        assert message in error
    code, _, error = run(capsys, *quick, "--force", "--policy", f"{tmp_path}/none.py:f")
    assert code == 1
    assert "there is no file" in error
    (tmp_path / "bad.py").write_text("import nothing_of_the_kind")
    with pytest.raises(RuntimeError, match="the file fails: ModuleNotFoundError"):
        run(capsys, *quick, "--force", "--policy", f"{tmp_path}/bad.py:f")
    assert parsed("kl-ucb") is None
    assert parsed("a/b.py:f") == FromFile("a/b.py", "f")


def test_rules_and_numbers_reach_the_allocator(capsys, tmp_path, fitted):
    write_rules(fitted.rules, tmp_path / "rules.json")
    numbers = ("--set-m", "quota_base=70", "--set-m", "quota_max=170", "--set", "newcomer_share=0.3")
    code, out, _ = run(
        capsys, *QUICK, "--policy", "M", "--replicates", 1, "--seed", 3, "--no-plots",
        "--rules", tmp_path / "rules.json", "--out", tmp_path / "out", "--start-hour", 12.5, *numbers,
    )  # fmt: skip
    assert code == 0
    assert "30 minutes from 12:30" in out
    config = CONFIG.model_copy(update={"newcomer_share": 0.3})
    make = {"M": lambda market, told, seed: route_m(market, told, seed, quota_base=70, quota_max=170)}
    found = compare(make, config, [3], 30, start_hour=12.5, fitted=fitted)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    measured = summary["policies"]["M"]["measures"]
    assert {name: value["mean"] for name, value in measured.items() if value["n"]} == {
        name: value for name, value in found.results["M", 3].measures.items() if value == value
    }


def test_without_matplotlib(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    quick = (*QUICK, "--policy", "uniform", "--replicates", 1, "--out", tmp_path / "out")
    code, _, error = run(capsys, *quick, "--plots")
    assert code == 1
    assert error == "seedbed: --plots needs matplotlib; install it with: pip install 'seedbed[plots]'"
    assert not (tmp_path / "out").exists()
    code, out, _ = run(capsys, *quick)
    assert code == 0
    assert out.endswith("For pictures install matplotlib: pip install 'seedbed[plots]'")
    assert names(tmp_path / "out") == NUMBERS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policy", "C"), "--policy C: there is no such policy; there are M, A, B, uniform"),
        (("--policy", "M", "--policy", "M"), "there are two policies named 'M'"),
        (("--replicates", "0"), "--replicates"),
        (("--seed", "-1"), "--seed"),
        (("--jobs", "0"), "--jobs must be 1 or more, or -1"),
        (("--days", "0"), "--days"),
        (("--minutes", "0"), "--minutes"),
        (("--rooms", "0"), "--rooms"),
        (("--rooms", "100", "--set", "rooms_per_day=200"), "--rooms and --set rooms_per_day say the same"),
        (("--start-hour", "24"), "--start-hour must be in [0, 24); got 24"),
        (("--start-hour", "nan"), "--start-hour"),
        (("--set", "newcomer_share"), "--set 'newcomer_share' is not NAME=VALUE"),
        (("--set", "newcomers=1"), "--set newcomers: no such number; there are rooms_per_day"),
        (("--set", "newcomer_share=2"), "--set: newcomer_share: Input should be less than or equal to 1"),
        (("--set-m", "bar=0.1"), "--set-m bar: no such number"),
        (("--set-m", "quota_min=200"), "--set-m: the numbers together: Value error, quota_min = 200 is above"),
        (("--set-m", "quota_min=50", "--policy", "A"), "--set-m is for the policy M, which is not played"),
        (("--rules", "no-such-file.json"), "no-such-file.json"),
        (("--history-minutes", "0"), "--history-minutes"),
    ],
)
def test_what_is_refused(capsys, tmp_path, arguments, message):
    code, out, error = run(capsys, *arguments, "--out", tmp_path / "out")
    assert (code, out) == (1, "")
    assert message in error
    assert not (tmp_path / "out").exists()
