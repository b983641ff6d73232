"""Parses the JSON of a response, with the points of a range as two lists of numbers."""

import gc
import math
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import numpy as np
import orjson

from forestall.adapters.prometheus.errors import QueryTrouble, SourceTrouble

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf|nan)", re.IGNORECASE | re.ASCII)
_LATEST: Final = 253_402_300_800.0
"""The year 10000 (s since the epoch)."""
_MOST_LABELS: Final = 128
_LONGEST_LABELS: Final = 32_768
"""How many characters the labels of one series may have together."""
_POINTS: Final = b'"values":[['
"""The text before the points of a series. It can't be inside a string, where quotes are escaped."""
_WORD: Final = secrets.token_hex(16)
"""A random marker that a server can't guess."""


def malformed() -> SourceTrouble:
    """Return the error for JSON of an unexpected form."""
    return SourceTrouble(
        "SourceBadAnswer", "the source's JSON is not of the Prometheus API: check its url", ambiguous=True
    )


def read(body: bytes) -> dict[str, Any] | None:
    """Return the document, or None where it is not JSON.

    The `values` of each series become a list of times and a list of values, or None where they are no points.
    """
    # Each point is a list: to search through them for garbage costs three times as much as to read them.
    with _no_collection():
        for text, pieces in (_taken_apart(body), (body, ())):
            with suppress(orjson.JSONDecodeError):
                return _document(text, pieces)
        return None


def _taken_apart(body: bytes) -> tuple[bytes, Sequence[memoryview]]:
    """Return the text with a marker instead of each series' points, and the points.

    Parsed points take thirty times as much memory as their text, so the points of one series are parsed at a time.
    """
    remaining: list[bytes] = []
    pieces: list[memoryview] = []
    position, view = 0, memoryview(body)
    while (begin := body.find(_POINTS, position)) >= 0 and (end := body.find(b"]]", begin)) >= 0:
        begin += len(_POINTS) - 2
        remaining += [body[position:begin], f'"{_WORD}{len(pieces)}"'.encode()]
        position = end + 2
        pieces.append(view[begin:position])
    return b"".join([*remaining, body[position:]]) if pieces else body, pieces


def _document(text: bytes, pieces: Sequence[memoryview]) -> dict[str, Any] | None:
    document = orjson.loads(text)
    if not isinstance(document, dict):
        return None
    data = document.get("data")
    result = data.get("result") if isinstance(data, dict) else None
    for series in result if isinstance(result, list) else ():
        if isinstance(series, dict) and "values" in series:
            values = series["values"]
            is_placeholder = isinstance(values, str) and values.startswith(_WORD)
            series["values"] = _points(orjson.loads(pieces[int(values[len(_WORD) :])]) if is_placeholder else values)
    return document


def number(text: Any) -> float:
    """Return the number that `text` represents in Go's format.

    Raises:
        SourceTrouble: it is none.
    """
    if not isinstance(text, str) or _NUMBER.fullmatch(text) is None:
        raise malformed()
    return float(text)


def value_of(pair: Any) -> float:
    """Return the value of a pair of time and value.

    Raises:
        SourceTrouble: it is none.
    """
    if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) not in (int, float):
        raise malformed()
    if not 0 <= pair[0] < _LATEST:
        raise malformed()
    return number(pair[1])


def labels_of(metric: Any) -> dict[str, str]:
    """Return the labels of a series.

    Raises:
        SourceTrouble: they are none.
        QueryTrouble: they are too long to be kept.
    """
    if not isinstance(metric, dict) or not all(isinstance(value, str) for value in metric.values()):
        raise malformed()
    if len(metric) > _MOST_LABELS or sum(len(name) + len(value) for name, value in metric.items()) > _LONGEST_LABELS:
        raise QueryTrouble(
            "QueryRefused",
            f"a series has over {_MOST_LABELS} labels, or over {_LONGEST_LABELS >> 10} KiB of them: aggregate",
        )
    return metric


def _points(pairs: Any) -> tuple[list[float], list[float]] | None:
    if pairs == []:
        return [], []
    try:
        times, texts = zip(*pairs, strict=True)
        read_times, values = _times(times), _numbers(texts)
    except (TypeError, ValueError, OverflowError, SourceTrouble):
        return None
    return read_times, values


def _times(values: Sequence[Any]) -> list[float]:
    if not set(map(type, values)) <= {int, float}:
        raise malformed()
    times = _floats(values)
    if not all(map(math.isfinite, times)):
        raise malformed()
    return times


def _numbers(texts: Sequence[Any]) -> list[float]:
    """Return the numbers that the texts represent; raises TypeError or ValueError where one is no number.

    Parsing all of them as one JSON list takes a third of the time, but JSON has neither NaN nor infinity.
    """
    try:
        read_at_once = orjson.loads(f"[{','.join(texts)}]")
    except orjson.JSONDecodeError:
        read_at_once = []
    if len(read_at_once) != len(texts) or not set(map(type, read_at_once)) <= {int, float}:
        return [number(text) for text in texts]
    return _floats(read_at_once)


def _floats(values: Sequence[float]) -> list[float]:
    numbers: list[float] = np.array(values, dtype=np.float64).tolist()
    return numbers


@contextmanager
def _no_collection() -> Iterator[None]:
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()
