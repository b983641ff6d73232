"""Read delimited text as tools write it: CSV of spreadsheets, of Grafana, of databases.

The delimiter is a comma, a semicolon or a tab, as the line `sep=` or the first line tells; with the last two a number
may have a decimal comma. What is not a number is a gap where tools write it for nothing, such as `null`, and an error
everywhere else, with what to do about it.
"""

import codecs
import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from forestall.core.rfc3339 import read_time
from forestall.core.wording import plural
from forestall.errors import InvalidInput

DELIMITERS: Final = ",;\t"
_NOTHING: Final = frozenset({"", "null", "undefined", "none", "nil", "n/a", "na", "-", "(null)"})
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]+,[0-9]+")
_THOUSANDS: Final = re.compile(r"[+-]?[0-9]{1,3}([,'\u202f\u00a0 ][0-9]{3})+([.,][0-9]+)?")
_WITH_UNIT: Final = re.compile(r"[+-]?[0-9.,]+ ?[%a-zA-Zµ/\u00b5][-%\w/ \u00b5]*")
_UNITS_OF_TIME: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From which count on a time is in nanoseconds, microseconds, milliseconds: as seconds, the year 5138 or later."""
_LAST: Final = 253_402_300_800.0
"""The end of the year 9999 (s since the epoch)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file by the names of its columns, and where it is."""

    cells: Mapping[str, Any]
    where: str
    decimal_comma: bool = False


def open_table(path: Path, nameless: Sequence[str]) -> tuple[list[str], Iterator[Row]]:
    """Return the names of the columns, and the rows; a first line of numbers has columns named as `nameless`.

    Raises:
        InvalidInput: the file can't be read; the rows raise it for a line that can't be split as the first one.
    """
    try:
        with path.open("rb") as file:
            encoding = _encoding(file.read(4))
        with path.open(encoding=encoding, newline="") as file:
            first = file.readline()
            told = first.strip().strip('"').lower().startswith("sep=")
            delimiter = first.strip().strip('"')[4:5] or "\t" if told else _delimiter(first)
            head = next(csv.reader(file if told else [first, *file], delimiter=delimiter), [])
    except (OSError, UnicodeError, csv.Error, TypeError) as error:
        raise unreadable(path, error) from error
    names = [name.strip() for name in head]
    unnamed = len(head) == len(nameless) and all(_is_count(cell) for cell in head)
    if unnamed:
        names = list(nameless)
    if len(set(names)) < len(names):
        raise InvalidInput(f"{path}, line {1 + told}: two columns have the same name")
    return names, _rows(path, encoding, delimiter, names, told + (not unnamed))


def _rows(path: Path, encoding: str, delimiter: str, names: Sequence[str], skip: int) -> Iterator[Row]:
    try:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            for number, cells in enumerate(reader):
                where = f"{path}, line {reader.line_num}"
                if number < skip or not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(names):
                    raise InvalidInput(f"{where}: {plural(len(cells), 'cell')} for {plural(len(names), 'column')}")
                yield Row(dict(zip(names, cells, strict=True)), where, decimal_comma=delimiter != ",")
    except (OSError, UnicodeError, csv.Error) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InvalidInput:
    """Return the error for a file that can't be read."""
    words = getattr(error, "strerror", None) or " ".join(str(error).split())
    return InvalidInput(f"{path} can't be read: {words}")


def moment_of(cell: Any, where: str) -> float:
    """Return a time in seconds since the epoch.

    Raises:
        InvalidInput: it is none.
    """
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
    at = count / next((unit for least, unit in _UNITS_OF_TIME if abs(count) >= least), 1.0)
    if not math.isfinite(at) or not 0 <= at < _LAST:
        raise InvalidInput(
            f"{where}: {str(cell)!r} is not a time between 1970 and 9999, counted in s, ms, µs or ns since the epoch"
        )
    return at


def number_of(row: Row, column: str) -> float | None:
    """Return the value that a row has in a column; None for a gap.

    Raises:
        InvalidInput: it is neither; the message says what it seems to be and what to do.
    """
    cell = row.cells[column]
    text = cell.strip() if isinstance(cell, str) else cell
    if text is None or (isinstance(text, str) and text.lower() in _NOTHING):
        return None
    if row.decimal_comma and isinstance(text, str) and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        value = float(text)
    except (TypeError, ValueError):
        raise InvalidInput(f"{row.where}: {str(cell)!r} {_advice(str(text))} (column {column})") from None
    return value if math.isfinite(value) else None


def _advice(text: str) -> str:
    if _THOUSANDS.fullmatch(text):
        return "is not a number as programs write them: export it without separators, 1234.5 for 1,234.5"
    if _WITH_UNIT.fullmatch(text):
        return "has a unit: export the plain numbers (in Grafana, switch `Formatted data` off)"
    return "is not a number"


def _encoding(head: bytes) -> str:
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _delimiter(line: str) -> str:
    """Return what parts the first line, outside of quotes; a comma where nothing does."""
    bare = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=lambda each: (bare.count(each), each == ","))


def _is_count(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return read_time(cell.strip()) is not None
    return True
