"""Rules files: JSON, written whole or not at all, read whole or refused with file, line and field."""

import json
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from ..._files import replace_file
from .rules import FORMAT, Rules

MOST_BYTES = 16 * 2**20
_DEEPEST = 40


def write_rules(rules: Rules, path: str | Path) -> None:
    """Write rules to a file, replacing it in one step: no reader ever sees half of it.

    Raises
    ------
    ValueError
        If `made_from` holds something that JSON has no word for; the file is then as it was.
    """
    path = Path(path)
    try:
        text = json.dumps(rules.model_dump(), indent=1, allow_nan=False, ensure_ascii=False)
        data = text.encode() + b"\n"
    except (ValueError, TypeError) as error:
        raise ValueError(f"rules {rules.version!r} cannot be written as JSON ({error}); {path} is as it was") from None
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"rules {rules.version!r} take {len(data):,} bytes, more than the {MOST_BYTES:,} that are read"
        )
    replace_file(path, data)


def read_rules(path: str | Path) -> Rules:
    """Read a rules file.

    Raises
    ------
    ValueError
        With file, line and field of what is wrong: no JSON, a name that stands twice, a number that is not finite, a
        field that is missing, unknown or not as it should be, or a format newer than this one. Nothing is loaded then.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path}: larger than {MOST_BYTES:,} bytes, which no rules file is")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: not UTF-8 text ({error.reason})") from None
    values, lines = _Reader(path, text).read()
    if not isinstance(values, dict) or values.get("kind") != "cold_start_rules":
        raise ValueError(f"{path}: not a rules file; its 'kind' must be 'cold_start_rules'")
    newest = values.get("format")
    if type(newest) is int and newest > FORMAT:
        line = lines["format",]
        raise ValueError(
            f"{path}, line {line}, field 'format': rules format {newest} is newer than {FORMAT}, the newest read here; "
            "the rules in force stay"
        )
    try:
        return Rules.model_validate_json(text, strict=True)  # the strict reader has found it sound
    except ValidationError as error:
        _refuse(path, lines, error)


def _refuse(path: Path, lines: dict[tuple[str | int, ...], int], error: ValidationError) -> NoReturn:
    """Name file, line and field of the first thing that is wrong, and how many more there are."""
    first = error.errors(include_url=False, include_context=False)[0]
    place: tuple[str | int, ...] = ()
    for part in first["loc"]:
        if (*place, part) in lines:
            place = (*place, part)
    missing = first["loc"][-1] if first["type"] == "missing" else None
    field = ".".join(map(str, place if missing is None else (*place, missing))) or "the whole"
    found = error.error_count() - 1
    more = f" (and {found:,} more)" if found else ""
    what = first["msg"].removeprefix("Value error, ")
    raise ValueError(f"{path}, line {lines[place]}, field '{field}': {what}{more}") from None


class _Reader:
    """A strict reader of JSON that remembers on which line each value stands, which the standard one does not."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text, self.at = path, text, 0
        self.lines: dict[tuple[str | int, ...], int] = {}
        self._line, self._counted = 1, 0
        self._decoder = json.JSONDecoder(parse_constant=_no_constant)

    def read(self) -> tuple[Any, dict[tuple[str | int, ...], int]]:
        """Values, and the line of each by its path."""
        value = self._value(())
        if self._space() < len(self.text):
            self._fail("the JSON ends here, but the file goes on")
        return value, self.lines

    def _value(self, place: tuple[str | int, ...]) -> Any:
        self._space()
        self.lines[place] = self._now()
        if len(place) > _DEEPEST:
            self._fail(f"lists and maps within each other, more than {_DEEPEST} deep")
        mark = self.text[self.at : self.at + 1]
        if mark == "{":
            return self._map(place)
        if mark == "[":
            return self._list(place)
        return self._scalar(place)

    def _scalar(self, place: tuple[str | int, ...]) -> Any:
        try:
            value, end = self._decoder.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            self.at = error.pos
            self._fail(f"not JSON: {error.msg}")
        except ValueError as error:  # a constant, or an integer of thousands of digits
            self._fail(str(error), place)
        if isinstance(value, float) and value - value != 0.0:
            self._fail("the number is not finite", place)
        self.at = end
        return value

    def _map(self, place: tuple[str | int, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        self.at += 1
        if self._next("}"):
            return values
        while True:
            self._space()
            if self.text[self.at : self.at + 1] != '"':
                self._fail("a name in double quotes is needed here")
            name = self._scalar(place)
            if name in values:
                self._fail("the name stands twice", (*place, name))
            if not self._next(":"):
                self._fail("':' is needed here")
            values[name] = self._value((*place, name))
            if self._next("}"):
                return values
            if not self._next(","):
                self._fail("',' or '}' is needed here")

    def _list(self, place: tuple[str | int, ...]) -> list[Any]:
        values: list[Any] = []
        self.at += 1
        if self._next("]"):
            return values
        while True:
            values.append(self._value((*place, len(values))))
            if self._next("]"):
                return values
            if not self._next(","):
                self._fail("',' or ']' is needed here")

    def _space(self) -> int:
        while self.at < len(self.text) and self.text[self.at] in " \t\n\r":
            self.at += 1
        return self.at

    def _next(self, mark: str) -> bool:
        """Step over a mark, if it is what comes next."""
        found = self.text[self._space() : self.at + 1] == mark
        self.at += found
        return found

    def _now(self) -> int:
        """Line of the current place."""
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def _fail(self, what: str, place: tuple[str | int, ...] | None = None) -> NoReturn:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - self.text.rfind("\n", 0, self.at)
        field = "" if not place else f", field '{'.'.join(map(str, place))}'"
        raise ValueError(f"{self.path}, line {line}, column {column}{field}: {what}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
