"""Logs of earlier rooms: one row a room, or a room and minute, each cell checked where it stands."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from ..allocators.cold_start import History
from .logs import CsvTable, count

_PARTS = ("category", "language", "region")
_NEEDED = {"retained": (), "follows": ("follows",), "watched": ("watched",), "comments": ("comments", "minutes")}


class HistoryColumns(NamedTuple):
    """Names of a log's columns.

    bucket: None for `bucket` if there is one, else what there is of category, language and region.
    source: None for `source`, if there is one.
    """

    room: str = "room"
    creator: str = "creator"
    bucket: str | None = None
    exposures: str = "exposures"
    retained: str = "retained"
    follows: str = "follows"
    watched: str = "watched"
    comments: str = "comments"
    minutes: str = "minutes"
    source: str | None = None


class HistoryLog(NamedTuple):
    """A history, the number of its rows, and of the rows of other sources that were passed over."""

    history: History
    rows: int
    elsewhere: int


def read_history(path: Path, columns: HistoryColumns, metrics: tuple[str, ...], source: str) -> HistoryLog:
    """Read the columns that the metrics need.

    Parameters
    ----------
    source
        Rows of other sources are passed over, where the log has such a column.

    Raises
    ------
    ValueError
        With file, line and column of the first cell that cannot be read, or contradicts another.
    """
    table = CsvTable(path)
    room, creator = table.index(columns.room), table.index(columns.creator)
    parts = _bucket_columns(table, columns.bucket)
    origin = table.optional("source") if columns.source is None else table.index(columns.source)
    fields = ["exposures", "retained", *(field for metric in metrics for field in _NEEDED[metric])]
    places = {field: table.index(getattr(columns, field)) for field in fields}
    first: dict[str, tuple[int, str, str]] = {}
    rooms: list[str] = []
    counts: dict[str, list[float]] = {field: [] for field in fields}
    elsewhere = 0
    for line, cells in table.rows():
        if origin is not None and cells[origin] != source:
            elsewhere += 1
            continue
        for column in (room, creator):
            if not cells[column]:
                table.refuse(line, column, "is empty")
        bucket = _bucket(table, line, parts, cells)
        known = first.setdefault(cells[room], (line, cells[creator], bucket))
        if known[1:] != (cells[creator], bucket):
            table.refuse(
                line,
                creator if known[1] != cells[creator] else parts[0],
                f"room {cells[room]!r} is of creator {known[1]!r} and bucket {known[2]!r} in line {known[0]}",
            )
        rooms.append(cells[room])
        _read_counts(table, line, cells, places, counts)
    if not rooms:
        where = "" if not elsewhere else f" of source {source!r}: all {elsewhere:,} are of others"
        raise ValueError(f"{path}: there is no row{where or ' below the header'}")
    creators, buckets = ([first[name][i] for name in rooms] for i in (1, 2))
    history = History.of_rows(rooms, creators, buckets, **counts)  # type: ignore[arg-type]
    return HistoryLog(history, len(rooms), elsewhere)


def _bucket_columns(table: CsvTable, named: str | None) -> list[int]:
    if named is not None:
        return [table.index(named)]
    if "bucket" in table.header:
        return [table.index("bucket")]
    found = [table.header.index(part) for part in _PARTS if part in table.header]
    if found and "category" not in table.header:
        raise ValueError(f"{table.path}: there is no column 'category' above those of language and region")
    return found


def _bucket(table: CsvTable, line: int, parts: list[int], cells: list[str]) -> str:
    """Name of the bucket: parts that are empty at the end are left out."""
    if len(parts) == 1:
        name = cells[parts[0]]
        if name and "" in name.split("/"):
            table.refuse(line, parts[0], f"{name!r} is no name such as 'music/zh/cn'")
        return name
    values = [cells[part] for part in parts]
    for part, value in zip(parts, values, strict=True):
        if "/" in value:
            table.refuse(line, part, f"{value!r} holds '/', which parts the levels of a bucket")
    while values and not values[-1]:
        values.pop()
    if "" in values:
        table.refuse(line, parts[values.index("")], "is empty, but a part after it is not")
    return "/".join(values)


def _read_counts(
    table: CsvTable, line: int, cells: list[str], places: dict[str, int], counts: dict[str, list[float]]
) -> None:
    for field, place in places.items():
        value = table.cell(line, place, cells, _number if field in ("watched", "minutes") else count)
        counts[field].append(value)
        most = "minutes" if field == "comments" else "exposures"
        if field in ("retained", "follows", "watched") and value > counts["exposures"][-1]:
            table.refuse(line, place, f"{cells[place]} is more than the {counts[most][-1]:g} exposures")
    if "comments" in places and counts["comments"][-1] and not counts["minutes"][-1]:
        table.refuse(line, places["comments"], f"{cells[places['comments']]} in no minutes")


def _number(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0.0 <= value < 1e15:
        return value
    raise ValueError("is not a number of at least 0")
