"""Read a history from a metric source, a day at a time."""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence

from forestall.backtest.bind import QueriedObjective
from forestall.backtest.history import History
from forestall.errors import MetricsError
from forestall.ports import Labels, Metrics, Query, QueryFailure, RangeSeries

_PART = 86400.0
"""Time range (s) of one query."""

Points = dict[Labels, tuple[list[float], list[float]]]


async def fetch(
    metrics: Metrics,
    objectives: Sequence[QueriedObjective],
    start: float,
    end: float,
    step: float,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[History, tuple[str, ...]]:
    """Return the history of every indicator from `start` to `end` (s), and a message for each that is missing.

    The error ratio over an objective's whole window is left out: the query is expensive, and it is not forecast.
    `progress` is called with the parts that are read and their total number.

    Raises:
        MetricsError: the source can't be queried, or has no series of any indicator.
    """
    points: dict[Hashable, Points] = {}
    failures: dict[Hashable, QueryFailure] = {}
    parts = list(_parts(start, end, step))
    for number, (first, last) in enumerate(parts):
        for source in sorted({objective.queries.source for objective in objectives}):
            queries = [query for query in _queries(objectives, source) if query.key not in failures]
            for key, answer in (await metrics.range(source, queries, first, last, step)).items():
                if isinstance(answer, QueryFailure):
                    failures[key] = answer
                else:
                    _add(points.setdefault(key, {}), answer)
        progress(number + 1, len(parts))
    series = {
        key: tuple(RangeSeries(labels, tuple(times), tuple(values)) for labels, (times, values) in by_labels.items())
        for key, by_labels in points.items()
        if by_labels and key not in failures
    }
    if not series:
        first_failure = next(iter(failures.values()), None)
        if first_failure is not None:
            raise MetricsError(first_failure.reason, first_failure.message)
        raise MetricsError("NoData", "the source has no series of any indicator in this period")
    return History(series), tuple(_missing(objectives, series, failures))


def _queries(objectives: Sequence[QueriedObjective], source: str) -> list[Query]:
    return [
        query
        for objective in objectives
        if objective.queries.source == source
        for query in (
            *(indicator_query.query for indicator_query in objective.queries.watched),
            objective.queries.long,
        )
    ]


def _parts(start: float, end: float, step: float) -> Iterator[tuple[float, float]]:
    """Yield the first and the last time of each part, on one grid."""
    steps_per_part = max(1, math.floor(_PART / step))
    last = math.floor((end - start) / step + 1e-6)
    for first in range(0, last + 1, steps_per_part):
        yield start + first * step, start + min(first + steps_per_part - 1, last) * step


def _add(points: Points, answer: Sequence[RangeSeries]) -> None:
    for series in answer:
        times, values = points.setdefault(series.labels, ([], []))
        for at, value in zip(series.times, series.values, strict=True):
            if math.isfinite(value):
                times.append(at)
                values.append(value)


def _missing(
    objectives: Sequence[QueriedObjective],
    series: dict[Hashable, tuple[RangeSeries, ...]],
    failures: dict[Hashable, QueryFailure],
) -> Iterator[str]:
    for objective in objectives:
        for indicator_query in objective.queries.watched:
            key = indicator_query.query.key
            if key not in series:
                reason = failures[key].message if key in failures else "no data in this period"
                yield f"{objective.slo.namespace}/{objective.slo.name} {indicator_query.indicator}: {reason}"
