import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seedbed.cli import main

DATA = Path(__file__).parents[2] / "examples" / "data"
COUNTS, WOMEN = DATA / "open-bandit-counts-all.csv", DATA / "open-bandit-counts-women.csv"
ROWS = DATA / "open-bandit-random-all.csv.gz"
FILES = ("decisions.jsonl", "checkpoint.seedbed", "summary.json")


def run(capsys, *arguments):
    code = main(["replay", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def write_rows(path, lines, header="timestamp,item_id,position,click,propensity"):
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_counts(capsys, tmp_path):
    code, out, _ = run(
        capsys, COUNTS, "--population", WOMEN, "--budget", 60_000, "--seeds", 3, "--out", tmp_path / "out"
    )
    assert code == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["allocator"]["exposures"] == summary["uniform"]["exposures"] == 60_000
    assert summary["log"]["exposures"] == 1_593_068
    assert summary["item_mean_rate"] == pytest.approx(0.00317, abs=1e-5)
    assert summary["whole_log"]["rate"] == pytest.approx(0.00424, abs=1e-5)
    assert summary["bar"] == pytest.approx(0.0033687, abs=1e-7)
    assert len(summary["paired"]["each"]) == 3
    assert summary["verdict"] in " ".join(out.split())
    for text in (
        "uniform (0 items run dry)",
        "oracle",
        "SCALE",
        "60,000 of 60,000 exposures used",
        "fitted to the 46 items",
    ):
        assert text in " ".join(out.split())


def test_rows_are_honest(capsys, tmp_path):
    code, out, _ = run(capsys, ROWS, "--population", WOMEN, "--out", tmp_path / "out")
    assert code == 0
    assert "not enough evidence" in out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    low, high = summary["difference"]
    assert low < 0 < high
    assert summary["whole_log"]["rewards"] == 38
    assert summary["stops"] == []
    assert "no column of negative feedback was named" in " ".join(out.split())
    assert "Uniform logging: checked" in out


def test_the_decision_log_adds_up(capsys, tmp_path):
    run(capsys, COUNTS, "--population", WOMEN, "--budget", 60_000, "--out", tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text().splitlines()]
    grants = [line for line in lines if line["event"] == "grant"]
    assert sum(line["exposures"] for line in grants) == 60_000
    assert sum(line["rewards"] for line in grants) == summary["allocator"]["rewards"]
    assert all(line["reason_codes"] for line in grants)
    promoted = {line["item"] for line in lines if line["event"] == "stage" and line["reason"] == "PROMOTED"}
    assert promoted == set(summary["promoted"])
    assert all(line["counts"]["exposures"] >= 0 and line["reason"] for line in lines if line["event"] == "stage")


@pytest.mark.parametrize("log", [COUNTS, ROWS], ids=["counts", "rows"])
@pytest.mark.parametrize("stops", [[1], [3, 2, 1]])
def test_resumed_replays_end_bit_identically(capsys, tmp_path, log, stops):
    options = [log, "--population", WOMEN, "--budget", 5_000, "--tick-exposures", 400]
    assert run(capsys, *options, "--out", tmp_path / "whole")[0] == 0
    resume = []
    for ticks in stops:
        code, out, _ = run(capsys, *options, "--out", tmp_path / "parts", "--ticks", ticks, *resume)
        assert code == 0
        assert "--resume" in out
        assert not (tmp_path / "parts" / "summary.json").exists()
        resume = ["--resume"]
    with (tmp_path / "parts" / "decisions.jsonl").open("ab") as file:
        file.write(b'{"torn": ')  # as a killed run leaves it
    assert run(capsys, *options, "--out", tmp_path / "parts", "--resume")[0] == 0
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_resuming_with_other_options_is_refused(capsys, tmp_path):
    assert run(capsys, COUNTS, "--budget", 5_000, "--ticks", 1, "--out", tmp_path)[0] == 0
    code, _, err = run(capsys, COUNTS, "--budget", 6_000, "--resume", "--out", tmp_path)
    assert code == 1
    assert "budget = 5000, now it is 6000" in err
    checkpoint = tmp_path / "checkpoint.seedbed"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-5])
    code, _, err = run(capsys, COUNTS, "--budget", 5_000, "--resume", "--out", tmp_path)
    assert code == 1
    assert "truncated" in err


def test_results_are_not_replaced_unasked(capsys, tmp_path):
    options = [COUNTS, "--budget", 1_000, "--out", tmp_path]
    assert run(capsys, *options)[0] == 0
    code, _, err = run(capsys, *options)
    assert code == 1
    assert "--resume" in err
    assert "--force" in err
    assert run(capsys, *options, "--force")[0] == 0
    assert run(capsys, *options, "--resume")[0] == 0
    code, _, err = run(capsys, COUNTS, "--resume", "--out", tmp_path / "nowhere")
    assert (code, "no checkpoint" in err) == (1, True)


def test_harm_stops_items_and_the_table_says_so(capsys, tmp_path):
    lines = [f"{i},{'ab'[i % 2]},1,{i % 3 == 0:d},0.5,{i % 2 * (i % 10 == 1):d}" for i in range(4_000)]
    log = write_rows(tmp_path / "log.csv", lines, "time,item_id,position,click,propensity,hide")
    options = ["--time-column", "time", "--negative-column", "hide", "--preset", "live"]
    code, out, _ = run(capsys, log, *options, "--out", tmp_path / "out")
    assert code == 0
    stops = json.loads((tmp_path / "out" / "summary.json").read_text())["stops"]
    assert [(stop["room"], stop["reason"]) for stop in stops] == [("b", "STOP_LOSS")]
    assert stops[0]["evidence"] >= 20
    assert "STOP_LOSS" in out


BAD_ROWS = [
    (["0,a,1,2,0.5"], r"line 2, column 'click': '2' is not 0 or 1"),
    (["0,a,1,1,0.5", "0,b,1,,0.5"], r"line 3, column 'click': '' is not 0 or 1"),
    (["yesterday,a,1,1,0.5"], r"line 2, column 'timestamp': 'yesterday' is not a time"),
    (["inf,a,1,1,0.5"], r"column 'timestamp': 'inf' is not a finite time"),
    (["0,,1,1,0.5"], r"line 2, column 'item_id': is empty"),
    (["0,a,-1,1,0.5"], r"line 2, column 'position': '-1' is not a count"),
    (["0,a,1,1,0"], r"line 2, column 'propensity': '0' is not a probability"),
    (["0,a,1,1,nan"], r"column 'propensity': 'nan'"),
    (["0,a,1,1"], r"line 2: 4 cells, but the header has 5 columns"),
    ([], "no row below the header"),
    (['0,"a,1,1,0.5'], "line 2"),
    (["0,a,1,1,0.5", "1,b,1,0,0.4"], "not logged uniformly: its propensities range from 0.4 to 0.5"),
]


@pytest.mark.parametrize(("lines", "message"), BAD_ROWS, ids=[message[:40] for _, message in BAD_ROWS])
def test_malformed_rows_are_named(capsys, tmp_path, lines, message):
    log = write_rows(tmp_path / "log.csv", lines)
    code, _, err = run(capsys, log, "--out", tmp_path / "out")
    assert code == 1
    assert re.search(message, err)
    assert "log.csv" in err
    assert not (tmp_path / "out").exists()


BAD_COUNTS = [
    (["a,1,-2"], r"line 2, column 'failures': '-2' is not a count"),
    (["a,1.5,2"], r"line 2, column 'successes': '1.5' is not a count"),
    (["a,1,2", "a,1,3"], r"line 3, column 'item': 'a' is the item of an earlier line"),
    ([",1,2"], r"column 'item': is empty"),
    ([], "no line below"),
]


@pytest.mark.parametrize(("lines", "message"), BAD_COUNTS, ids=[message[:40] for _, message in BAD_COUNTS])
def test_malformed_counts_are_named(capsys, tmp_path, lines, message):
    log = write_rows(tmp_path / "counts.csv", lines, "item,successes,failures")
    code, _, err = run(capsys, log, "--out", tmp_path / "out")
    assert code == 1
    assert re.search(message, err)
    assert "counts.csv" in err


def test_files_that_are_no_logs(capsys, tmp_path):
    whole = gzip.compress(b"timestamp,item_id,click\n0,a,1\n" * 100)
    for name, data, message in (
        ("empty.csv", b"", "empty"),
        ("cut.csv.gz", whole[:-10], "gzip"),
        ("broken.csv.gz", whole[:20] + b"\0" * 30 + whole[50:], "gzip"),
        ("binary.csv", b"\xff\xfe\x00\x80", "UTF-8"),
        ("other.csv", b"x,y\n1,2\n", "no column 'item_id'"),
        ("semicolons.csv", b"timestamp;item_id;click\n0;a;1\n", "separated by commas"),
        ("quote.csv", b'"item"x,successes,failures\na,1,2\n', "line 1"),
        ("twice.csv", b"item,successes,failures,item\na,1,2,b\n", "'item' stands twice"),
        ("huge.csv", b"item,successes,failures\na,999999999999999,1\n", "can be replayed"),
        ("none.csv", b"item,successes,failures\na,1,2\nb,0,0\n", "'b' has no exposures"),
    ):
        (tmp_path / name).write_bytes(data)
        code, _, err = run(capsys, tmp_path / name, "--out", tmp_path / "out")
        assert code == 1, name
        assert name in err
        assert message in err
    code, _, err = run(capsys, tmp_path / "missing.csv")
    assert code == 1
    assert "missing.csv" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", 0], r"--budget must be in \[1, 10000\]"),
        (["--budget", 10_001], "got 10001"),
        (["--set", "quota_min"], "not NAME=VALUE"),
        (["--set", "quotta=5"], "quotta: no such number"),
        (["--set", "bar=2"], "bar: Input should be less than 1"),
        (["--seeds", 5], "one order only"),
        (["--ticks", 0], "--ticks must be at least 1"),
        (["--tick-exposures", 0], "--tick-exposures must be in"),
        (["--seed", -1], "seed must be in"),
        (["--population", ROWS], "the log itself"),
        (["--set", 'budget={"limit":10}'], "set by --budget"),
        (["--set", "cls=1"], "cls: no such number"),
        (["--tick-exposures", 10**20], "--tick-exposures must be in"),
        (["--seed", 2**64], "--seed must be in"),
        (["--at-position", 9], "no row at position 9"),
        (["--reward-column", "nope"], "no column 'nope'"),
        (["--propensity-column", "nope"], "no column 'nope'"),
        (["--position-column", "nope"], "no column 'nope'"),
    ],
)
def test_bad_options(capsys, tmp_path, options, message):
    code, _, err = run(capsys, ROWS, "--out", tmp_path / "out", *options)
    assert code == 1
    assert re.search(message, err)


def test_a_population_taken_from_the_log_is_refused(capsys, tmp_path):
    """As the men's table of the Open Bandit Dataset: its rows are rows of the table of all."""
    part = tmp_path / "part.csv"
    part.write_text("".join(COUNTS.read_text().splitlines(keepends=True)[:35]))
    code, _, err = run(capsys, COUNTS, "--population", part, "--out", tmp_path / "out")
    assert code == 1
    assert "34 of the 34 rows" in err


def test_one_position_only(capsys, tmp_path):
    code, *_ = run(capsys, ROWS, "--at-position", 1, "--out", tmp_path)
    assert code == 0
    assert json.loads((tmp_path / "summary.json").read_text())["log"]["exposures"] < 4_000


def test_rows_out_of_order_are_sorted_by_time(capsys, tmp_path):
    lines = [f"{i},a,1,{i % 2},1.0" for i in range(200)]
    for name, order in (("one", lines), ("other", lines[::-1])):
        log = write_rows(tmp_path / f"{name}.csv", order)
        assert run(capsys, log, "--out", tmp_path / name)[0] == 0
    first, second = ((tmp_path / name / "decisions.jsonl").read_bytes() for name in ("one", "other"))
    assert first == second


def test_the_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["replay", "--help"])
    assert ended.value.code == 0
    assert "--resume" in capsys.readouterr().out


def test_without_its_extra_the_command_prints_how_to_install_it(tmp_path):
    program = "import sys; sys.modules['rich'] = None; from seedbed.cli import main; sys.exit(main(['replay', 'x']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "pip install 'seedbed[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [["--tick-exposures", 0], ["--seed", -1], ["--budget", 0], ["--set", "bar=7"]])
def test_bad_options_leave_the_results_that_they_would_replace(capsys, tmp_path, options):
    assert run(capsys, COUNTS, "--budget", 1_000, "--out", tmp_path)[0] == 0
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    assert run(capsys, COUNTS, "--budget", 1_000, "--out", tmp_path, "--force", *options)[0] == 1
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before


def test_resuming_with_another_column_is_refused(capsys, tmp_path):
    lines = [f"{i},{i % 2},1,{i % 7 == 0:d},1.0,{(i % 7 == 0) or i > 1_500:d}" for i in range(4_000)]
    log = write_rows(tmp_path / "log.csv", lines, "timestamp,item_id,position,click,propensity,buy")
    options = ["--tick-exposures", 100, "--out", tmp_path / "out"]
    assert run(capsys, log, *options, "--ticks", 1)[0] == 0
    code, _, err = run(capsys, log, *options, "--resume", "--reward-column", "buy")
    assert code == 1
    assert "columns" in err


def test_propensities_of_other_positions_do_not_matter(capsys, tmp_path):
    lines = [f"{i},{'ab'[i % 2]},{i % 3},{i % 5 == 0:d},{0.25 if i % 3 == 1 else 0.5}" for i in range(300)]
    log = write_rows(tmp_path / "log.csv", lines)
    assert run(capsys, log, "--at-position", 0, "--out", tmp_path / "zero")[0] == 0
    assert "not logged uniformly" in run(capsys, log, "--out", tmp_path / "all")[2]
    code, out, _ = run(capsys, log, "--biased", "--out", tmp_path / "all")
    assert code == 0
    assert "BIASED: propensities from 0.25 to 0.5" in out
    assert "BIASED" in json.loads((tmp_path / "all" / "summary.json").read_text())["uniform_logging"]


@pytest.mark.parametrize("option", [["--at-position", 3], ["--negative-column", "x"], ["--biased"]])
def test_options_of_rows_are_refused_for_counts(capsys, tmp_path, option):
    code, _, err = run(capsys, COUNTS, "--out", tmp_path, *option)
    assert code == 1
    assert "for logs of rows" in err


def test_names_are_no_markup(capsys, tmp_path):
    log = tmp_path / "counts.csv"
    log.write_text("item,successes,failures\n[/a],900,100\n[bold]b,100,900\n")
    options = ["--preset", "live", "--out", tmp_path / "[bold]out"]
    code, out, _ = run(capsys, log, *options)
    assert code == 0
    assert "[/a]" in out
    assert "[bold]out" in out


def test_a_log_without_rewards_gives_valid_json(capsys, tmp_path):
    log = tmp_path / "counts.csv"
    log.write_text("item,successes,failures\na,0,1000\nb,0,1000\n")
    assert run(capsys, log, "--seeds", 2, "--out", tmp_path / "out")[0] == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["uplift"] is None
    assert "not enough evidence" in summary["verdict"]


def test_the_closing_of_the_last_items_is_logged_once(capsys, tmp_path):
    lines = [f"{i},{'ab'[i % 2]},1,{i % 2},1.0" for i in range(200)]
    log = write_rows(tmp_path / "log.csv", lines)
    options = [log, "--budget", 200, "--tick-exposures", 50, "--out", tmp_path / "out"]
    assert run(capsys, *options)[0] == 0
    assert run(capsys, *options, "--resume")[0] == 0
    text = (tmp_path / "out" / "decisions.jsonl").read_text()
    closed = [json.loads(line) for line in text.splitlines() if "LOG_USED_UP" in line]
    assert sorted(line["item"] for line in closed) == ["a", "b"]
