import csv
import gzip
import io
import json

import numpy as np
import pytest

import seedbed
from seedbed.allocators.cold_start import Atoms, fit_rules, read_rules
from seedbed.cli import main
from seedbed.cli.history import HistoryColumns, read_history

HEADER = [
    "room",
    "creator",
    "category",
    "language",
    "exposures",
    "retained",
    "follows",
    "comments",
    "minutes",
    "source",
]
QUICK = ["--resamples", 40, "--least-rooms", 60, "--least-creators", 20]


def run(capsys, *arguments):
    code = main(["thresholds", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, " ".join(captured.out.split()), captured.err


def lines(minutes=1, seed=0):
    """Rooms of music (two languages; 10 of one of them) and games, so many rows each."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = []
    for room in range(330):
        place = ("music", "zh") if room < 150 else ("games", "zh") if room < 300 else ("music", "en")
        rate = 1.0 / (1.0 + np.exp(1.1 - 0.4 * rng.normal()))
        creator = rng.integers(0, 110)
        for _ in range(minutes):
            n = rng.integers(80, 160) // minutes
            spent = n * 3.0
            rows.append(
                [room, f"c{creator}", *place, n, rng.binomial(n, rate), rng.binomial(n, 0.1),
                 2 * rng.poisson(spent * 0.02), spent, "exploration"]
            )  # fmt: skip
    return rows


def write(path, rows, header=HEADER):
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_a_log_becomes_rules_a_table_and_a_picture(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = write(tmp_path / "rooms.csv.gz", lines())
    code, out, err = run(capsys, log, *QUICK, "--plot", "bars.png", "--valid-from", "1970-01-02T00:00:00+00:00")
    assert (code, err) == (0, "")
    rules = read_rules("thresholds-rooms.json")
    assert [bucket.name for bucket in rules.buckets] == ["", "games", "games/zh", "music", "music/en", "music/zh"]
    assert rules.valid_from == 86_400.0
    assert rules.version.startswith("rooms-")
    assert rules.made_from["log"] == "rooms.csv.gz"
    assert rules.made_from["seedbed"] == seedbed.__version__
    assert rules.made_from["digest"].startswith(rules.version.removeprefix("rooms-"))
    expected, findings = fit_rules(
        read_history(log, HistoryColumns(), ("retained",), "exploration").history,
        version=rules.version,
        fitting=_fitting(rules),
    )
    assert expected.buckets == rules.buckets
    assert "5 of 6 bars are carried by their own rooms; 1 are INSUFFICIENT" in out
    assert "music/en: 30 rooms, fewer than 60; takes the gate of music" in out
    for finding in findings:
        if finding.bar is not None:
            assert f"{finding.bar:.2%}" in out
            assert f"{finding.low:.2%} - {finding.high:.2%}" in out
    assert "330 rooms in 330 rows" in out
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bars.png", "rooms.csv.gz", "thresholds-rooms.json"]


def _fitting(rules):
    from seedbed.allocators.cold_start import Fitting

    return Fitting.model_validate_json(json.dumps(rules.made_from["fitting"]))


def test_rows_of_minutes_make_the_same_rooms(tmp_path):
    rows = lines(minutes=3)
    by_minute = read_history(write(tmp_path / "a.csv", rows), HistoryColumns(), ("retained", "comments"), "exploration")
    sums = {}
    for row in rows:
        old = sums.setdefault(row[0], [*row[:4], 0, 0, 0, 0, 0.0, row[9]])
        old[4:9] = [a + b for a, b in zip(old[4:9], row[4:9], strict=True)]
    by_room = read_history(
        write(tmp_path / "b.csv", sums.values()), HistoryColumns(), ("retained", "comments"), "exploration"
    )
    for name in ("exposures", "retained", "comments", "minutes"):
        assert getattr(by_minute.history, name).tolist() == getattr(by_room.history, name).tolist()
    assert by_minute.history.buckets == by_room.history.buckets
    assert (by_minute.rows, by_room.rows) == (990, 330)
    assert by_minute.history.dispersion == pytest.approx(2.0, rel=0.25)
    assert by_room.history.dispersion == 1.0


def test_other_sources_do_not_count(capsys, tmp_path):
    rows = lines()
    other = [[*row[:4], 100, 100, 0, 0, 300.0, "ranker"] for row in rows]
    out = tmp_path / "rules.json"
    code, said, _ = run(capsys, write(tmp_path / "a.csv", rows + other), *QUICK, "--out", out)
    assert code == 0
    assert "330 rows of other sources" in said
    assert run(capsys, write(tmp_path / "b.csv", rows), *QUICK, "--out", tmp_path / "b.json")[0] == 0
    assert read_rules(out).buckets == read_rules(tmp_path / "b.json").buckets
    code, _, err = run(capsys, tmp_path / "b.csv", *QUICK, "--source", "organic", "--out", tmp_path / "c.json")
    assert (code, "no row of source 'organic': all 330 are of others" in err) == (1, True)


def test_several_metrics_columns_and_a_bar_by_renewal(capsys, tmp_path):
    header = ["stream", "creator", "bucket", "shown", "retained", "follows", "talk", "minutes"]
    rows = [[*row[:2], f"{row[2]}/{row[3]}", *row[4:9]] for row in lines(minutes=2)]
    code, out, _ = run(
        capsys, write(tmp_path / "a.csv", rows, header), *QUICK, "--metric", "comments", "--metric", "follows",
        "--room-column", "stream", "--exposures-column", "shown", "--comments-column", "talk", "--bar", "renewal",
        "--version", "v7", "--out", tmp_path / "rules.json", "--jobs", 2, "--population", "likeliest", "--widest", 2,
    )  # fmt: skip
    assert code == 0
    rules = read_rules(tmp_path / "rules.json")
    assert rules.version == "v7"
    assert [gate.metric for gate in rules.buckets[0].gates] == ["retained", "comments", "follows"]
    assert rules.buckets[0].gates[1].dispersion > 1.4
    assert isinstance(rules.buckets[0].gates[0].population, Atoms)
    assert "comments a viewer-minute: renewal of each bucket" in out
    assert "times as dispersed as Poisson counts (estimated from the minutes)" in out


def changed(row, column, value):
    rows = [list(line) for line in lines()]
    rows[row][HEADER.index(column)] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (changed(3, "exposures", "x"), "line 5, column 'exposures': 'x' is not a count"),
        (changed(3, "retained", "-1"), "line 5, column 'retained': '-1' is not a count"),
        (changed(3, "retained", "100000"), "line 5, column 'retained': 100000 is more than the"),
        (changed(4, "creator", ""), "line 6, column 'creator': is empty"),
        (changed(4, "room", ""), "line 6, column 'room': is empty"),
        (changed(4, "category", ""), "line 6, column 'category': is empty, but a part after it is not"),
        (changed(4, "language", "a/b"), "line 6, column 'language': 'a/b' holds '/'"),
        (changed(4, "room", "0"), "line 6, column 'creator': room '0' is of creator"),
        (changed(4, "minutes", "nan"), "line 6, column 'minutes': 'nan' is not a number of at least 0"),
        (changed(4, "comments", "1.5"), "line 6, column 'comments': '1.5' is not a count"),
        ([], "there is no row below the header"),
        ([["a"]], "line 2: 1 cells, but the header has 10 columns"),
    ],
)
def test_bad_logs_are_named_and_nothing_is_written(capsys, tmp_path, rows, said):
    log = write(tmp_path / "rooms.csv", rows)
    code, _, err = run(capsys, log, *QUICK, "--metric", "comments", "--out", tmp_path / "rules.json")
    assert code == 1
    assert str(log) in err
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["rooms.csv"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--quantile", "1.5"], "--quantile 1.5: Input should be less than 1"),
        (["--resamples", "3"], "--resamples 3: "),
        (["--bar", "renewal", "--remaining", "10"], "remaining = 10 must be above seed_length = 300"),
        (["--metric", "watched"], "there is no column 'watched'"),
        (["--valid-from", "soon"], "--valid-from 'soon' is not a time"),
        (["--valid-from", "5", "--valid-until", "4"], "valid_from = 5.0 is not before valid_until = 4.0"),
        (["--source-column", "origin"], "there is no column 'origin'"),
        (["--plot", "there/p.png"], "there is no folder"),
        (["--plot", "p.png", "--plot-bucket", "sport"], "--plot-bucket 'sport': the log has no such bucket"),
        (["--least-rooms", "1000"], "do not carry a bar for retained: 330 rooms, fewer than 1,000; no rules were made"),
    ],
)
def test_bad_options_are_named_and_nothing_is_written(capsys, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    log = write(tmp_path / "rooms.csv", lines())
    code, out, err = run(capsys, log, *QUICK, *options)
    assert code == 1
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["rooms.csv"]
    assert ("INSUFFICIENT" in out) == ("--least-rooms" in options)


def test_files_are_replaced_only_by_force(capsys, tmp_path):
    log, out = write(tmp_path / "rooms.csv", lines()), tmp_path / "rules.json"
    out.write_text("mine")
    code, _, err = run(capsys, log, *QUICK, "--out", out)
    assert (code, out.read_text()) == (1, "mine")
    assert "replace it with --force" in err
    assert run(capsys, log, *QUICK, "--out", out, "--force")[0] == 0
    assert read_rules(out).buckets
