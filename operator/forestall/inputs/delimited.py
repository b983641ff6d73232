"""Read delimited text: CSV files of spreadsheets, Grafana and databases.

The delimiter is a comma, a semicolon or a tab, taken from a line `sep=` or from the header; with the last two a number
may have a decimal comma. Empty cells and placeholders such as `null` are gaps; any other text that is not a number is
an error that says how to fix it.
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
_GAPS: Final = frozenset({"", "null", "undefined", "none", "nil", "n/a", "na", "-", "(null)"})
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]+,[0-9]+")
_THOUSANDS: Final = re.compile(r"[+-]?[0-9]{1,3}([,'\u202f\u00a0 ][0-9]{3})+([.,][0-9]+)?")
_WITH_UNIT: Final = re.compile(r"[+-]?[0-9.,]+ ?[%a-zA-Zµ/\u00b5][-%\w/ \u00b5]*")
_UNITS_OF_TIME: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From which value a time is in nanoseconds, microseconds or milliseconds: as seconds it is the year 5138 or later."""
_MAX_TIME: Final = 253_402_300_800.0
"""The end of the year 9999 (s since the epoch)."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a file: its cells by column name, and its location for messages."""

    cells: Mapping[str, Any]
    location: str
    decimal_comma: bool = False


def open_table(path: Path, default_names: Sequence[str]) -> tuple[list[str], Iterator[TableRow]]:
    """Return the column names and the rows; a file without a header has the columns `default_names`.

    Raises:
        InvalidInput: the file can't be read; the rows raise it for a line with another number of cells.
    """
    try:
        with path.open("rb") as file:
            encoding = _encoding(file.read(4))
        with path.open(encoding=encoding, newline="") as file:
            first = file.readline()
            has_separator_line = first.strip().strip('"').lower().startswith("sep=")
            delimiter = first.strip().strip('"')[4:5] or "\t" if has_separator_line else _delimiter(first)
            head = next(csv.reader(file if has_separator_line else [first, *file], delimiter=delimiter), [])
    except (OSError, UnicodeError, csv.Error, TypeError) as error:
        raise unreadable(path, error) from error
    names = [name.strip() for name in head]
    lacks_header = len(head) == len(default_names) and all(_is_number_or_time(cell) for cell in head)
    if lacks_header:
        names = list(default_names)
    if len(set(names)) < len(names):
        raise InvalidInput(f"{path}, line {1 + has_separator_line}: two columns have the same name")
    return names, _rows(path, encoding, delimiter, names, has_separator_line + (not lacks_header))


def _rows(path: Path, encoding: str, delimiter: str, names: Sequence[str], skip: int) -> Iterator[TableRow]:
    try:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            for number, cells in enumerate(reader):
                location = f"{path}, line {reader.line_num}"
                if number < skip or not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(names):
                    raise InvalidInput(f"{location}: {plural(len(cells), 'cell')} for {plural(len(names), 'column')}")
                yield TableRow(dict(zip(names, cells, strict=True)), location, decimal_comma=delimiter != ",")
    except (OSError, UnicodeError, csv.Error) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InvalidInput:
    """Return the error for a file that can't be read."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return InvalidInput(f"{path} can't be read: {reason}")


def parse_time(cell: Any, location: str) -> float:
    """Return a time in seconds since the epoch.

    Raises:
        InvalidInput: the cell is not a time.
    """
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=cell.tzinfo or UTC).timestamp()
    try:
        count = float(cell)
    except (TypeError, ValueError):
        at = read_time(str(cell).strip())
        if at is None:
            raise InvalidInput(
                f"{location}: {str(cell)!r} is not a time: write 2026-01-31T12:00:00Z, or seconds since the epoch"
            ) from None
        return at
    at = count / next((unit for minimum, unit in _UNITS_OF_TIME if abs(count) >= minimum), 1.0)
    if not math.isfinite(at) or not 0 <= at < _MAX_TIME:
        raise InvalidInput(
            f"{location}: {str(cell)!r} is not a time between 1970 and 9999, counted in s, ms, µs or ns since the epoch"
        )
    return at


def parse_number(row: TableRow, column: str) -> float | None:
    """Return the value of a row in a column; None for a gap.

    Raises:
        InvalidInput: the cell is not a number; the message says what it looks like and how to fix it.
    """
    cell = row.cells[column]
    text = cell.strip() if isinstance(cell, str) else cell
    if text is None or (isinstance(text, str) and text.lower() in _GAPS):
        return None
    if row.decimal_comma and isinstance(text, str) and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        value = float(text)
    except (TypeError, ValueError):
        raise InvalidInput(f"{row.location}: {str(cell)!r} {_explain_number(str(text))} (column {column})") from None
    return value if math.isfinite(value) else None


def _explain_number(text: str) -> str:
    if _THOUSANDS.fullmatch(text):
        return "has thousands separators: export plain numbers, 1234.5 instead of 1,234.5"
    if _WITH_UNIT.fullmatch(text):
        return "has a unit: export plain numbers (in Grafana, switch `Formatted data` off)"
    return "is not a number"


def _encoding(head: bytes) -> str:
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _delimiter(line: str) -> str:
    """Return the delimiter of the first line, outside of quotes; a comma where there is none."""
    unquoted = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=lambda delimiter: (unquoted.count(delimiter), delimiter == ","))


def _is_number_or_time(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return read_time(cell.strip()) is not None
    return True
