import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.allocators.cold_start import (
    Atoms,
    BetaPopulation,
    BucketRules,
    GammaPopulation,
    Gate,
    Rules,
    read_rules,
    rules_file,
    write_rules,
)

RETAINED = Gate(metric="retained", bar=0.1 + 0.2, population=Atoms(support=(0.1, 0.35), weights=(0.75, 0.25)))
COMMENTS = Gate(metric="comments", bar=0.05, population=GammaPopulation(shape=2.0, rate=40.0), dispersion=1.7)
RULES = Rules(
    version="spring",
    valid_from=1.5,
    buckets=(
        BucketRules(name="", gates=(RETAINED, COMMENTS)),
        BucketRules(
            name="音乐/zh",
            gates=(Gate(metric="retained", bar=0.2, population=BetaPopulation(a=2.0, b=5.0)), COMMENTS),
        ),
    ),
    made_from={"log": "a.csv", "findings": [{"bar": 0.3, "low": None}]},
)


def written(tmp_path, change=None, **values):
    path = tmp_path / "rules.json"
    write_rules(RULES, path)
    data = {**json.loads(path.read_text(encoding="utf-8")), **values}
    if change is not None:
        change(data)
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return path


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "rules.json"
    write_rules(RULES, path)
    assert read_rules(path) == RULES
    assert [file.name for file in tmp_path.iterdir()] == ["rules.json"]
    assert "音乐" in path.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "rules.json"
    write_rules(RULES, path)
    before = path.read_bytes()
    for bad in (math.nan, math.inf, object()):
        with pytest.raises(ValueError, match="cannot be written as JSON"):
            write_rules(RULES.model_copy(update={"made_from": {"x": bad}}), path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_from_the_future_is_refused(tmp_path):
    path = written(tmp_path, format=2, novelty="x")
    with pytest.raises(
        ValueError, match="rules format 2 is newer than 1, the newest read here; the rules in force stay"
    ):
        read_rules(path)


def gate(data):
    return data["buckets"][1]["gates"][0]


@pytest.mark.parametrize(
    ("change", "field", "text", "marker"),
    [
        (lambda d: gate(d).update(bar=1.25), "buckets.1.gates.0", "below 1", None),
        (lambda d: gate(d).update(bar="0.3"), "buckets.1.gates.0.bar", "number", '"bar": "0.3"'),
        (lambda d: gate(d).update(bar=0), "buckets.1.gates.0.bar", "greater than 0", '"bar": 0,'),
        (lambda d: gate(d).update(metric="likes"), "buckets.1.gates.0.metric", "retained", '"likes"'),
        (lambda d: gate(d).pop("bar"), "buckets.1.gates.0.bar", "required", None),
        (lambda d: gate(d)["population"].update(a=-1.0), "buckets.1.gates.0.population.a", "", '"a": -1.0'),
        (lambda d: gate(d).update(surprise=1), "buckets.1.gates.0.surprise", "not permitted", '"surprise"'),
        (lambda d: d.update(version=""), "version", "at least 1 character", '"version"'),
        (lambda d: d.update(version=7), "version", "string", '"version"'),
        (lambda d: d.update(format=0), "format", "1", '"format"'),
        (lambda d: d["buckets"].pop(0), "the whole", "there is no bucket ''", None),
        (lambda d: d.update(valid_until=1.0), "the whole", "not before", None),
        (lambda d: d["buckets"][0].update(name="音乐/zh"), "the whole", "one name", None),
    ],
)
def test_wrong_fields_are_named_with_their_line(tmp_path, change, field, text, marker):
    path = written(tmp_path, change)
    with pytest.raises(ValueError) as caught:
        read_rules(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line ")
    assert f"field '{field}'" in message
    assert text in message
    if marker is not None:
        line = int(message.split("line ")[1].split(",")[0])
        assert marker in path.read_text(encoding="utf-8").splitlines()[line - 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"kind": "cold_start_rules",\n "version": "a",\n "version": "b"}',
            r"line 3, column \d+, field 'version': .*twice",
        ),
        ('{"kind": "cold_start_rules",\n "format": NaN}', "line 2, column 12, field 'format': NaN is not a number"),
        ('{"x": [1,\n -Infinity]}', r"line 2, column 2, field 'x.1': -Infinity is not a number"),
        ('{"x": 1e999}', "line 1, column 7, field 'x': the number is not finite"),
        ('{"x": 1,\n}', "line 2, column 1: a name in double quotes"),
        ('{"x" 1}', "line 1, column 6: ':' is needed"),
        ('{"x": 1 "y": 2}', "line 1, column 9: ',' or '}' is needed"),
        ("[1 2]", r"line 1, column 4: ',' or '\]' is needed"),
        ("{} {}", "line 1, column 4: the JSON ends here"),
        ("", "line 1, column 1: not JSON"),
        ('{"x": "a\nb"}', "line 1, column 9: not JSON"),
        ("[" * 100_000, "more than 40 deep"),
        ('{"x": ' + "9" * 5_000 + "}", "field 'x'"),
        ("[]", "not a rules file"),
        ('{"kind": "cold_start"}', "'kind' must be 'cold_start_rules'"),
    ],
)
def test_what_is_no_sound_json_is_named_with_line_and_column(tmp_path, text, said):
    path = tmp_path / "rules.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        read_rules(path)
    assert str(caught.value).startswith(str(path))


def test_other_bytes_and_large_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "rules.json"
    path.write_bytes(b'{"a":\n"\xff"}')
    with pytest.raises(ValueError, match="line 2: not UTF-8"):
        read_rules(path)
    monkeypatch.setattr(rules_file, "MOST_BYTES", 100)
    path.write_bytes(b" " * 101)
    with pytest.raises(ValueError, match="larger than 100 bytes"):
        read_rules(path)
    with pytest.raises(ValueError, match="more than the 100"):
        write_rules(RULES, path)
    with pytest.raises(FileNotFoundError):
        read_rules(tmp_path / "none.json")


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "rules.json"
    write_rules(RULES, path)
    data = path.read_bytes()
    for end in range(0, len(data) - 2, 7):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match=r"rules\.json"):
            read_rules(path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON, st.sampled_from([None, 0, 2]))
def test_the_strict_reader_reads_as_the_standard_one(value, indent):
    text = json.dumps(value, indent=indent)
    found, lines = rules_file._Reader("x", text).read()
    assert found == json.loads(text)
    assert lines[()] == 1
    assert max(lines.values()) <= text.count("\n") + 1
