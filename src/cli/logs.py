"""Logs from files: rows or counts, as CSV or gzipped CSV, each cell checked where it stands."""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray


class Columns(NamedTuple):
    """Names of a log's columns; what is optional and absent is not read.

    item: None for `item_id` in rows, `item` in counts.
    position, propensity: None for the columns of these names, where there are any.
    """

    item: str | None
    reward: str
    time: str
    position: str | None
    propensity: str | None
    negative: str | None
    successes: str
    failures: str


class Rows(NamedTuple):
    """A log of N exposures, in the order of time."""

    items: list[str]
    rewards: NDArray[np.int8]
    negatives: NDArray[np.int8] | None
    propensities: tuple[float, float] | None


class Counts(NamedTuple):
    """Rewarded and other exposures of K items."""

    items: list[str]
    successes: NDArray[np.int64]
    failures: NDArray[np.int64]


def digest(path: Path) -> str:
    """BLAKE2b-128 of a file's bytes, hexadecimal."""
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


def read_log(path: Path, columns: Columns, position: int | None = None) -> Rows | Counts:
    """Read a log: counts if its header has the columns of successes and failures, else rows.

    Parameters
    ----------
    position
        Keep only rows shown at this position; None for all.

    Raises
    ------
    ValueError
        With file, line and column of the first cell that cannot be read.
    """
    table = CsvTable(path)
    if columns.successes in table.header and columns.failures in table.header:
        return _read_counts(table, columns)
    return _read_rows(table, columns, position)


def read_counts(path: Path, columns: Columns) -> Counts:
    """Read a table of item, successes and failures."""
    return _read_counts(CsvTable(path), columns)


def _read_counts(table: "CsvTable", columns: Columns) -> Counts:
    item, good, bad = (table.index(n) for n in (columns.item or "item", columns.successes, columns.failures))
    items: dict[str, tuple[int, int]] = {}
    for line, cells in table.rows():
        if not cells[item]:
            table.refuse(line, item, "is empty")
        if cells[item] in items:
            table.refuse(line, item, f"{cells[item]!r} is the item of an earlier line too")
        items[cells[item]] = table.cell(line, good, cells, count), table.cell(line, bad, cells, count)
        if not any(items[cells[item]]):
            table.refuse(line, item, f"{cells[item]!r} has no exposures; leave the line out")
    if not items:
        raise ValueError(f"{table.path}: there is no line below the header")
    counts = np.array(list(items.values()), np.int64)
    return Counts(list(items), counts[:, 0], counts[:, 1])


def _read_rows(table: "CsvTable", columns: Columns, position: int | None) -> Rows:
    item, reward, time = (table.index(n) for n in (columns.item or "item_id", columns.reward, columns.time))
    propensity = table.optional("propensity") if columns.propensity is None else table.index(columns.propensity)
    is_needed = position is not None or columns.position is not None
    place = table.index(columns.position or "position") if is_needed else table.optional("position")
    negative = None if columns.negative is None else table.index(columns.negative)
    items, rewards, negatives, times = [], [], [], []
    low, high = math.inf, -math.inf
    for line, cells in table.rows():
        if not cells[item]:
            table.refuse(line, item, "is empty")
        when = table.cell(line, time, cells, time_of)
        result = table.cell(line, reward, cells, _bit)
        harm = 0 if negative is None else table.cell(line, negative, cells, _bit)
        chance = 1.0 if propensity is None else table.cell(line, propensity, cells, _probability)
        if place is not None and table.cell(line, place, cells, count) != position and position is not None:
            continue
        low, high = min(low, chance), max(high, chance)
        items.append(cells[item])
        rewards.append(result)
        negatives.append(harm)
        times.append(when)
    if not items:
        where = "" if position is None else f" at position {position}"
        raise ValueError(f"{table.path}: there is no row{where} below the header")
    order = np.argsort(np.array(times), kind="stable")
    return Rows(
        [items[i] for i in order.tolist()],
        np.array(rewards, np.int8)[order],
        None if negative is None else np.array(negatives, np.int8)[order],
        None if propensity is None else (low, high),
    )


class CsvTable:
    """A CSV file with a header."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            data = path.read_bytes()
            if data[:2] == b"\x1f\x8b":
                data = gzip.decompress(data)
            text = data.decode("utf-8-sig")
        except FileNotFoundError:
            raise ValueError(f"{path}: there is no such file") from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: not a whole gzip file ({error})") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 text ({error})") from None
        self._reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            self.header = next(self._reader, [])
        except csv.Error as error:
            raise ValueError(f"{path}, line 1: {error}") from None
        if not self.header:
            raise ValueError(f"{path}: the file is empty; a header line is needed")
        twice = [name for i, name in enumerate(self.header) if name in self.header[:i]]
        if twice:
            raise ValueError(f"{path}, line 1: the column {twice[0]!r} stands twice")

    def index(self, name: str) -> int:
        """Position of a column that must be there."""
        if name not in self.header:
            hint = "is the file separated by commas?" if len(self.header) == 1 else "name it with an option, see --help"
            raise ValueError(f"{self.path}: there is no column {name!r} among {self.header}; {hint}")
        return self.header.index(name)

    def optional(self, name: str) -> int | None:
        """Position of a column that may be absent."""
        return self.header.index(name) if name in self.header else None

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of each line below the header; blank lines are passed over."""
        try:
            for cells in self._reader:
                if not cells:
                    continue
                if len(cells) != len(self.header):
                    raise ValueError(
                        f"{self.path}, line {self._reader.line_num}: {len(cells)} cells, "
                        f"but the header has {len(self.header)} columns"
                    )
                yield self._reader.line_num, cells
        except csv.Error as error:
            raise ValueError(f"{self.path}, line {self._reader.line_num}: {error}") from None

    def cell(self, line: int, column: int, cells: list[str], parse: Callable[[str], Any]) -> Any:
        """Parse one cell, or say where it stands and what it should be."""
        try:
            return parse(cells[column])
        except ValueError as error:
            self.refuse(line, column, f"{cells[column]!r} {error}")

    def refuse(self, line: int, column: int, what: str) -> NoReturn:
        """Name file, line and column of what is wrong."""
        raise ValueError(f"{self.path}, line {line}, column {self.header[column]!r}: {what}")


def _bit(text: str) -> int:
    if text in ("0", "1"):
        return int(text)
    if text in ("0.0", "1.0"):
        return int(text[0])
    raise ValueError("is not 0 or 1")


def count(text: str) -> int:
    """Parse a count."""
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    raise ValueError("is not a count")


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0.0 < value <= 1.0:
        return value
    raise ValueError("is not a probability in (0, 1]")


def time_of(text: str) -> float:
    """Parse seconds, or a time in ISO 8601."""
    try:
        value = float(text)
    except ValueError:
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            raise ValueError("is not a time: neither a number of seconds nor ISO 8601") from None
    if math.isfinite(value):
        return value
    raise ValueError("is not a finite time")
