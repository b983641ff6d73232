"""Assigns the series of a response to the queries of its request."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forestall.adapters.prometheus.errors import QueryTrouble, SourceTrouble
from forestall.adapters.prometheus.responses import Payload
from forestall.core.promql import MARKER


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """The series that one expression returned."""

    series: Sequence[Any]
    """As parsed from JSON, without the marker label; that each is an object is not checked yet."""
    warnings: tuple[str, ...]


def sort_by_query(queries: Sequence[tuple[str, int]], payload: Payload) -> dict[str, QueryOutcome | QueryTrouble]:
    """Return the outcome of each expression, given in the order of the request with the number of series that each may
    have.

    Raises:
        QueryTrouble: some series can't be assigned to a query.
        SourceTrouble: no series can: the source drops the marker label.
    """
    max_series = sum(limit for _, limit in queries)
    if len(payload.series) > max_series:
        raise QueryTrouble("TooManySeries", f"the query returns more than {max_series} series")
    sorted_series = _by_question(payload.series, len(queries)) if len(queries) > 1 else {"0": payload.series}
    outcomes: dict[str, QueryOutcome | QueryTrouble] = {}
    for number, (text, limit) in enumerate(queries):
        series = sorted_series.get(str(number), [])
        if len(series) > limit:
            message = f"the query returns {len(series)} series: {limit} are the most"
            outcomes[text] = QueryTrouble("TooManySeries", message)
        else:
            outcomes[text] = QueryOutcome(series, payload.warnings)
    return outcomes


def _by_question(series: Sequence[Any], count: int) -> Mapping[str, list[Any]]:
    sorted_series: dict[str, list[Any]] = defaultdict(list)
    for body in series:
        metric = body.get("metric") if isinstance(body, dict) else None
        number = metric.get(MARKER) if isinstance(metric, dict) else None
        if isinstance(number, str):
            sorted_series[number].append(body)
    lost = len(series) - sum(map(len, sorted_series.values()))
    unknown = sorted_series.keys() - set(map(str, range(count)))
    if 0 < lost == len(series) and all(map(_has_labels, series)):
        message = "the source's answer lacks the label that was asked for"
        raise SourceTrouble("SourceBadAnswer", message, ambiguous=True)  # or it answers one of the queries so
    if lost or unknown:  # any of the queries may lack them
        raise QueryTrouble("SourceBadAnswer", "the source's answer has series that are none", ambiguous=True)
    for bodies in sorted_series.values():
        for body in bodies:
            del body["metric"][MARKER]
    return sorted_series


def _has_labels(series: Any) -> bool:
    return isinstance(series, dict) and isinstance(series.get("metric"), dict)
