"""Read the answer of Prometheus to a range query, as `curl …/api/v1/query_range` and `promtool` write it."""

from pathlib import Path
from typing import Any

import orjson

from forestall.backtest.delimited import moment_of, unreadable
from forestall.errors import InvalidInput
from forestall.ports import RangeSeries

_WHAT = "the answer of a Prometheus to /api/v1/query_range"


def read_answer(path: Path) -> tuple[RangeSeries, ...]:
    """Return the series of a JSON file.

    Raises:
        InvalidInput: it can't be read, or is no answer to a range query; the message says what it is.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise unreadable(path, error) from error
    if isinstance(document, dict) and document.get("status") == "error":
        raise InvalidInput(f"{path}: the answer is an error: {document.get('error')}")
    data = document.get("data", document) if isinstance(document, dict) else document
    kind = data.get("resultType", "matrix") if isinstance(data, dict) else "matrix"
    result = data.get("result") if isinstance(data, dict) else data
    if kind in ("vector", "scalar"):
        raise InvalidInput(f"{path}: it holds one moment only ({kind}): ask /api/v1/query_range for a time")
    if kind != "matrix" or not isinstance(result, list):
        raise InvalidInput(f"{path}: it is not {_WHAT}")
    named = len({_name(each) for each in result}) > 1  # which tells them apart, as where a source is asked
    return tuple(_series(each, f"{path}, series {number}", named=named) for number, each in enumerate(result, 1))


def _name(body: Any) -> str:
    metric = body.get("metric") if isinstance(body, dict) else None
    return str(metric.get("__name__", "")) if isinstance(metric, dict) else ""


def _series(body: Any, where: str, *, named: bool) -> RangeSeries:
    metric, pairs = (body.get("metric"), body.get("values")) if isinstance(body, dict) else (None, None)
    if isinstance(body, dict) and pairs is None and "histograms" in body:
        raise InvalidInput(f"{where}: it holds native histograms: ask for numbers, as by histogram_quantile()")
    if not isinstance(metric, dict) or not isinstance(pairs, list):
        raise InvalidInput(f"{where}: it is not {_WHAT}")
    points: dict[float, float] = {}
    for pair in pairs:
        try:
            at, text = pair
            value = float(text)
        except (TypeError, ValueError):
            raise InvalidInput(f"{where}: {pair!r} is not a time and a number") from None
        if value - value == 0:  # neither NaN nor infinite, which are gaps
            points[moment_of(at, where)] = value
    labels = tuple(sorted((str(name), str(text)) for name, text in metric.items() if named or name != "__name__"))
    times = sorted(points)
    return RangeSeries(labels, tuple(times), tuple(points[at] for at in times))
