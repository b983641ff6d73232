"""Read the response of a Prometheus range query, as `curl …/api/v1/query_range` and `promtool` write it."""

from pathlib import Path
from typing import Any

import orjson

from forestall.errors import InvalidInput
from forestall.inputs.delimited import parse_time, unreadable
from forestall.ports import RangeSeries

_EXPECTED = "a response of Prometheus to /api/v1/query_range"


def read_query_range(path: Path) -> tuple[RangeSeries, ...]:
    """Return the series of a JSON file.

    Raises:
        InvalidInput: the file can't be read, or is not the response of a range query.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise unreadable(path, error) from error
    if isinstance(document, dict) and document.get("status") == "error":
        raise InvalidInput(f"{path}: the response is an error: {document.get('error')}")
    data = document.get("data", document) if isinstance(document, dict) else document
    kind = data.get("resultType", "matrix") if isinstance(data, dict) else "matrix"
    result = data.get("result") if isinstance(data, dict) else data
    if kind in ("vector", "scalar"):
        raise InvalidInput(f"{path}: it is an instant query ({kind}): use /api/v1/query_range")
    if kind != "matrix" or not isinstance(result, list):
        raise InvalidInput(f"{path}: it is not {_EXPECTED}")
    named = len({_name(body) for body in result}) > 1  # the name tells series apart, as in a query of a source
    return tuple(_series(body, f"{path}, series {number}", named=named) for number, body in enumerate(result, 1))


def _name(body: Any) -> str:
    metric = body.get("metric") if isinstance(body, dict) else None
    return str(metric.get("__name__", "")) if isinstance(metric, dict) else ""


def _series(body: Any, location: str, *, named: bool) -> RangeSeries:
    metric, pairs = (body.get("metric"), body.get("values")) if isinstance(body, dict) else (None, None)
    if isinstance(body, dict) and pairs is None and "histograms" in body:
        raise InvalidInput(
            f"{location}: it has native histograms: query numbers, for example with histogram_quantile()"
        )
    if not isinstance(metric, dict) or not isinstance(pairs, list):
        raise InvalidInput(f"{location}: it is not {_EXPECTED}")
    points: dict[float, float] = {}
    for pair in pairs:
        try:
            at, text = pair
            value = float(text)
        except (TypeError, ValueError):
            raise InvalidInput(f"{location}: {pair!r} is not a time and a number") from None
        if value - value == 0:  # neither NaN nor infinite, which are gaps
            points[parse_time(at, location)] = value
    labels = tuple(sorted((str(name), str(text)) for name, text in metric.items() if named or name != "__name__"))
    times = sorted(points)
    return RangeSeries(labels, tuple(times), tuple(points[at] for at in times))
