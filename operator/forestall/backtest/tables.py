"""Read measurements from files: CSV, answers of Prometheus, and Parquet where pyarrow is installed.

Tables have two forms. Wide: a column `time`, and one for each indicator, or for each of its series, as in
`memory{pod="a"}`. Long: columns `time` and `value`, perhaps `objective` and `indicator`; further columns are labels. An
empty cell or NaN is a gap. An answer of Prometheus is of the indicator that the file is named after.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forestall.backtest.delimited import Row, moment_of, number_of, open_table, unreadable
from forestall.backtest.history import Labels
from forestall.backtest.range_answers import read_answer
from forestall.errors import InvalidInput
from forestall.ports import RangeSeries

TIME, VALUE, OBJECTIVE, INDICATOR = "time", "value", "objective", "indicator"
_TIMES = (TIME, "timestamp", "date", "datetime", "ts", "_time", "@timestamp")
_LABEL = r'\s*(\w+)="((?:[^"\\]|\\.)*)"\s*'
_LEGEND = re.compile(rf"(?P<name>[^{{}}]*)\{{(?P<labels>({_LABEL}(,|(?=\}})))*)\}}")
"""A name with labels, as Grafana and Prometheus write those of a series."""
_NO_NAME = re.compile(r"Value( #[A-Z])?|[A-Z]-series|.*[(\[].*")
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


def read(path: Path) -> list[Column]:
    """Return the columns of a file, whose form is told by its suffix.

    Raises:
        InvalidInput: the file can't be read, or a line of it can't be understood; the message names both.
    """
    answer = path.suffix.lower() == ".json"
    columns = [Column("", path.stem, read_answer(path), str(path))] if answer else _table(path)
    if not any(column.series for column in columns):
        raise InvalidInput(f"{path}: there is not one value in it")
    return columns


def _table(path: Path) -> list[Column]:
    if path.suffix.lower() in (".parquet", ".pq"):
        names, rows = _parquet(path)
    else:
        names, rows = open_table(path, (TIME, VALUE))
    time = next((name for name in names if name.strip().lower() in _TIMES), None)
    if time is None:
        raise InvalidInput(f"{path}: there is no column `{TIME}`; its columns are {_listed(names)}")
    plain = [name for name in names if name != time]
    return _long(path, time, plain, rows) if VALUE in plain else _wide(path, time, plain, rows)


def _wide(path: Path, time: str, names: Sequence[str], rows: Iterable[Row]) -> list[Column]:
    if not names:
        raise InvalidInput(f"{path}: there is no column beside `{time}`: add one for each indicator")
    points: dict[str, dict[float, float]] = {name: {} for name in names}
    for row in rows:
        at = moment_of(row.cells[time], row.where)
        for name in names:
            value = number_of(row, name)
            if value is not None:
                points[name][at] = value
    columns: dict[tuple[str, str], Column] = {}
    for name, some in points.items():
        series_name, labels = _legend(name.strip())
        objective, _, indicator = series_name.rpartition("/")
        before = columns.get((objective, indicator))
        series = (*(before.series if before else ()), *((_series(labels, some),) if some else ()))
        where = before.where if before else f"{path}, column {name}"
        columns[objective, indicator] = Column(objective, indicator, series, where)
    return list(columns.values())


def _legend(name: str) -> tuple[str, Labels]:
    """Return the name and the labels of a series as `memory{pod="a"}` writes them; a plain name has no labels.

    A query in the place of a name, or what Grafana calls a series without one, is no name.
    """
    legend = _LEGEND.fullmatch(name)
    series_name = name if legend is None else legend["name"].strip()
    pairs = () if legend is None else re.findall(_LABEL, legend["labels"])
    labels = tuple(sorted((label, re.sub(r"\\(.)", r"\1", text)) for label, text in pairs))
    return "" if _NO_NAME.fullmatch(series_name) else series_name, labels


def _long(path: Path, time: str, names: Sequence[str], rows: Iterable[Row]) -> list[Column]:
    labels = [name for name in names if name not in (VALUE, OBJECTIVE, INDICATOR)]
    points: dict[tuple[str, str], dict[Labels, dict[float, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        at = moment_of(row.cells[time], row.where)
        value = number_of(row, VALUE)
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


def _parquet(path: Path) -> tuple[list[str], Iterator[Row]]:
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

    def rows() -> Iterator[Row]:
        number = 0
        try:
            for batch in file.iter_batches(_BATCH):
                for cells in batch.to_pylist():
                    number += 1
                    yield Row(cells, f"{path}, row {number}")
        except (OSError, ArrowException) as error:
            raise unreadable(path, error) from error

    return list(file.schema_arrow.names), rows()


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none: it is empty"
