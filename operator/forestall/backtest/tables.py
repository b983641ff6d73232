"""Read measurements from files: CSV, and Parquet where pyarrow is installed.

Two forms. Wide: a column `time`, and one for each indicator. Long: columns `time` and `value`, perhaps `objective` and
`indicator`; all further columns are labels. An empty cell or NaN is a gap.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from forestall.backtest.history import Labels
from forestall.core.rfc3339 import read_time
from forestall.errors import InvalidInput
from forestall.ports import RangeSeries

TIME, VALUE, OBJECTIVE, INDICATOR = "time", "value", "objective", "indicator"
_TIMES = (TIME, "timestamp", "date", "datetime")
_MILLISECONDS_FROM = 1e11
"""Counts from here on are milliseconds: as seconds they would be in the year 5138."""
_BATCH = 65_536


@dataclass(frozen=True, slots=True)
class Column:
    """The series that a file has under one name."""

    objective: str
    """The objective that the file names, as `name` or `namespace/name`; empty: any."""
    indicator: str
    """The indicator that the file names; empty where it names none."""
    series: tuple[RangeSeries, ...]
    where: str
    """The file and the column, for messages."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a file by the names of its columns, and where it is."""

    cells: Mapping[str, Any]
    where: str


def read(path: Path) -> list[Column]:
    """Return the columns of a file, whose form is told by its suffix.

    Raises:
        InvalidInput: the file can't be read, or a line of it can't be understood; the message names both.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        names, rows = _parquet(path)
    else:
        names, rows = _csv(path)
    time = next((name for name in names if name.strip().lower() in _TIMES), None)
    if time is None:
        raise InvalidInput(f"{path}: there is no column `{TIME}`; its columns are {_listed(names)}")
    plain = [name for name in names if name != time]
    columns = _long(path, time, plain, rows) if VALUE in plain else _wide(path, time, plain, rows)
    if not any(column.series for column in columns):
        raise InvalidInput(f"{path}: there is not one value in it")
    return columns


def _wide(path: Path, time: str, names: Sequence[str], rows: Iterable[_Row]) -> list[Column]:
    if not names:
        raise InvalidInput(f"{path}: there is no column beside `{time}`: add one for each indicator")
    points: dict[str, dict[float, float]] = {name: {} for name in names}
    for row in rows:
        at = moment_of(row.cells[time], row.where)
        for name in names:
            value = _number(row.cells[name], name, row.where)
            if value is not None:
                points[name][at] = value
    columns = []
    for name, some in points.items():
        objective, _, indicator = name.strip().rpartition("/")
        series = (_series((), some),) if some else ()
        columns.append(Column(objective, indicator, series, f"{path}, column {name}"))
    return columns


def _long(path: Path, time: str, names: Sequence[str], rows: Iterable[_Row]) -> list[Column]:
    labels = [name for name in names if name not in (VALUE, OBJECTIVE, INDICATOR)]
    points: dict[tuple[str, str], dict[Labels, dict[float, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        at = moment_of(row.cells[time], row.where)
        value = _number(row.cells[VALUE], VALUE, row.where)
        if value is None:
            continue
        about = (_text(row.cells.get(OBJECTIVE)), _text(row.cells.get(INDICATOR)))
        which = tuple(sorted((name, text) for name in labels if (text := _text(row.cells[name]))))
        points[about][which][at] = value
    return [
        Column(objective, indicator, tuple(_series(which, some) for which, some in each.items()), str(path))
        for (objective, indicator), each in points.items()
    ]


def _series(labels: Labels, points: Mapping[float, float]) -> RangeSeries:
    times = sorted(points)
    return RangeSeries(labels, tuple(times), tuple(points[at] for at in times))


def _csv(path: Path) -> tuple[list[str], Iterator[_Row]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error
    if len(set(head)) < len(head):
        raise InvalidInput(f"{path}, line 1: two columns have the same name")
    return head, _csv_rows(path, head)


def _csv_rows(path: Path, head: Sequence[str]) -> Iterator[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for cells in islice(reader, 1, None):
                where = f"{path}, line {reader.line_num}"
                if not cells:
                    continue
                if len(cells) != len(head):
                    raise InvalidInput(f"{where}: there are {len(cells)} cells for {len(head)} columns")
                yield _Row(dict(zip(head, cells, strict=True)), where)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _parquet(path: Path) -> tuple[list[str], Iterator[_Row]]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 -- optional
    except ImportError:
        raise InvalidInput(
            f"{path}: Parquet files need pyarrow, which is not installed: pip install 'forestall[parquet]'"
        ) from None
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ArrowException) as error:
        raise _unreadable(path, error) from error

    def rows() -> Iterator[_Row]:
        number = 0
        try:
            for batch in file.iter_batches(_BATCH):
                for cells in batch.to_pylist():
                    number += 1
                    yield _Row(cells, f"{path}, row {number}")
        except (OSError, ArrowException) as error:
            raise _unreadable(path, error) from error

    return list(file.schema_arrow.names), rows()


def _unreadable(path: Path, error: Exception) -> InvalidInput:
    words = getattr(error, "strerror", None) or " ".join(str(error).split())
    return InvalidInput(f"{path} can't be read: {words}")


def moment_of(cell: Any, where: str) -> float:
    """Return a time in seconds since the epoch."""
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=cell.tzinfo or UTC).timestamp()
    try:
        count = float(cell)
    except (TypeError, ValueError):
        at = read_time(str(cell).strip())
        if at is None:
            raise InvalidInput(
                f"{where}: {str(cell)!r} is not a time: write 2026-01-31T12:00:00Z, or seconds since the epoch"
            ) from None
        return at
    if not math.isfinite(count):
        raise InvalidInput(f"{where}: {str(cell)!r} is not a time")
    return count / 1000 if abs(count) >= _MILLISECONDS_FROM else count


def _number(cell: Any, column: str, where: str) -> float | None:
    """Return a value; None for a gap."""
    text = cell.strip() if isinstance(cell, str) else cell
    if text is None or text == "":
        return None
    try:
        value = float(text)
    except (TypeError, ValueError):
        raise InvalidInput(f"{where}: {str(cell)!r} is not a number (column {column})") from None
    return value if math.isfinite(value) else None


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none: it is empty"
