"""Read measurements from files: CSV, Prometheus range queries, and Parquet where pyarrow is installed.

Tables have two forms. Wide: a column `time`, and one for each indicator, or for each of its series, as in
`memory{pod="a"}`. Long: columns `time` and `value`, perhaps `objective` and `indicator`; further columns are labels. An
empty cell or NaN is a gap. The response of a Prometheus range query belongs to the indicator that its file is named
after.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forestall.errors import InvalidInput
from forestall.inputs.delimited import TableRow, open_table, parse_number, parse_time, unreadable
from forestall.inputs.query_range import read_query_range
from forestall.ports import Labels, RangeSeries

TIME, VALUE, OBJECTIVE, INDICATOR = "time", "value", "objective", "indicator"
_TIMES = (TIME, "timestamp", "date", "datetime", "ts", "_time", "@timestamp")
_LABEL = r'\s*(\w+)="((?:[^"\\]|\\.)*)"\s*'
_LEGEND = re.compile(rf"(?P<name>[^{{}}]*)\{{(?P<labels>({_LABEL}(,|(?=\}})))*)\}}")
"""A series name with labels, as Grafana and Prometheus write it."""
_NO_NAME = re.compile(r"Value( #[A-Z])?|[A-Z]-series|.*[(\[].*")
_BATCH = 65_536


@dataclass(frozen=True, slots=True)
class Column:
    """The series of a file that have the same name."""

    objective: str
    """The objective, as `name` or `namespace/name`; empty for any."""
    indicator: str
    """The indicator; empty where the file names none."""
    series: tuple[RangeSeries, ...]
    location: str
    """The file and the column, for messages."""


def read(path: Path) -> list[Column]:
    """Return the columns of a file; its suffix selects the format.

    Raises:
        InvalidInput: the file can't be read, or a line is invalid; the message names both.
    """
    answer = path.suffix.lower() == ".json"
    columns = [Column("", path.stem, read_query_range(path), str(path))] if answer else _table(path)
    if not any(column.series for column in columns):
        raise InvalidInput(f"{path}: the file has no values")
    return columns


def _table(path: Path) -> list[Column]:
    if path.suffix.lower() in (".parquet", ".pq"):
        names, rows = _parquet(path)
    else:
        names, rows = open_table(path, (TIME, VALUE))
    time = next((name for name in names if name.strip().lower() in _TIMES), None)
    if time is None:
        raise InvalidInput(f"{path}: there is no column `{TIME}`; its columns are {_join_names(names)}")
    value_names = [name for name in names if name != time]
    return _long(path, time, value_names, rows) if VALUE in value_names else _wide(path, time, value_names, rows)


def _wide(path: Path, time: str, names: Sequence[str], rows: Iterable[TableRow]) -> list[Column]:
    if not names:
        raise InvalidInput(f"{path}: there is no column beside `{time}`: add one for each indicator")
    points: dict[str, dict[float, float]] = {name: {} for name in names}
    for row in rows:
        at = parse_time(row.cells[time], row.location)
        for name in names:
            value = parse_number(row, name)
            if value is not None:
                points[name][at] = value
    columns: dict[tuple[str, str], Column] = {}
    for name, values in points.items():
        series_name, labels = _legend(name.strip())
        objective, _, indicator = series_name.rpartition("/")
        previous = columns.get((objective, indicator))
        series = (*(previous.series if previous else ()), *((_series(labels, values),) if values else ()))
        location = previous.location if previous else f"{path}, column {name}"
        columns[objective, indicator] = Column(objective, indicator, series, location)
    return list(columns.values())


def _legend(name: str) -> tuple[str, Labels]:
    """Return the name and the labels of a series as `memory{pod="a"}` writes them; a plain name has no labels.

    A query instead of a name, or Grafana's placeholder for a series without a name, counts as no name.
    """
    legend = _LEGEND.fullmatch(name)
    series_name = name if legend is None else legend["name"].strip()
    pairs = () if legend is None else re.findall(_LABEL, legend["labels"])
    labels = tuple(sorted((label, re.sub(r"\\(.)", r"\1", text)) for label, text in pairs))
    return "" if _NO_NAME.fullmatch(series_name) else series_name, labels


def _long(path: Path, time: str, names: Sequence[str], rows: Iterable[TableRow]) -> list[Column]:
    label_names = [name for name in names if name not in (VALUE, OBJECTIVE, INDICATOR)]
    points: dict[tuple[str, str], dict[Labels, dict[float, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        at = parse_time(row.cells[time], row.location)
        value = parse_number(row, VALUE)
        if value is None:
            continue
        key = (_text(row.cells.get(OBJECTIVE)), _text(row.cells.get(INDICATOR)))
        row_labels = tuple(sorted((name, text) for name in label_names if (text := _text(row.cells[name]))))
        points[key][row_labels][at] = value
    return [
        Column(objective, indicator, tuple(_series(labels, values) for labels, values in by_labels.items()), str(path))
        for (objective, indicator), by_labels in points.items()
    ]


def _series(labels: Labels, points: Mapping[float, float]) -> RangeSeries:
    times = sorted(points)
    return RangeSeries(labels, tuple(times), tuple(points[at] for at in times))


def _parquet(path: Path) -> tuple[list[str], Iterator[TableRow]]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 -- optional
    except ImportError:
        raise InvalidInput(
            f"{path}: Parquet files need pyarrow, which is not installed: pip install 'forestall[parquet]'"
        ) from None
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ArrowException) as error:
        raise unreadable(path, error) from error

    def rows() -> Iterator[TableRow]:
        number = 0
        try:
            for batch in file.iter_batches(_BATCH):
                for cells in batch.to_pylist():
                    number += 1
                    yield TableRow(cells, f"{path}, row {number}")
        except (OSError, ArrowException) as error:
            raise unreadable(path, error) from error

    return list(file.schema_arrow.names), rows()


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none: it is empty"
