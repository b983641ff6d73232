"""Read a history from a metric source, part by part."""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence

from forestall.backtest.bind import Asked
from forestall.backtest.history import History, Labels
from forestall.errors import MetricsError
from forestall.ports import Metrics, Query, QueryFailure, RangeSeries

_PART = 86400.0
"""Seconds that are asked for at once."""

Points = dict[Labels, tuple[list[float], list[float]]]


async def fetch(
    metrics: Metrics,
    objectives: Sequence[Asked],
    start: float,
    end: float,
    step: float,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[History, tuple[str, ...]]:
    """Return what the source has of every indicator from `start` to `end` (s), and why some of it is missing.

    The error ratio over an objective's whole window is left out: it is dear, and no forecast is made of it. `progress`
    is told how many parts of how many are read.

    Raises:
        MetricsError: the source can't be asked, or nothing that was asked for exists there.
    """
    points: dict[Hashable, Points] = {}
    failures: dict[Hashable, QueryFailure] = {}
    parts = list(_parts(start, end, step))
    for done, (first, last) in enumerate(parts):
        for source in sorted({one.questions.source for one in objectives}):
            wanted = [query for query in _queries(objectives, source) if query.key not in failures]
            for key, answer in (await metrics.range(source, wanted, first, last, step)).items():
                if isinstance(answer, QueryFailure):
                    failures[key] = answer
                else:
                    _add(points.setdefault(key, {}), answer)
        progress(done + 1, len(parts))
    series = {
        key: tuple(RangeSeries(labels, tuple(times), tuple(values)) for labels, (times, values) in some.items())
        for key, some in points.items()
        if some and key not in failures
    }
    if not series:
        first_failure = next(iter(failures.values()), None)
        if first_failure is not None:
            raise MetricsError(first_failure.reason, first_failure.message)
        raise MetricsError("NoData", "the source has no series of any indicator in this time")
    return History(series), tuple(_missing(objectives, series, failures))


def _queries(objectives: Sequence[Asked], source: str) -> list[Query]:
    return [
        query
        for one in objectives
        if one.questions.source == source
        for query in (*(each.query for each in one.questions.watched), one.questions.long)
    ]


def _parts(start: float, end: float, step: float) -> Iterator[tuple[float, float]]:
    """Yield the first and the last moment of each part, on one grid."""
    each = max(1, math.floor(_PART / step))
    last = math.floor((end - start) / step + 1e-6)
    for first in range(0, last + 1, each):
        yield start + first * step, start + min(first + each - 1, last) * step


def _add(points: Points, answer: Sequence[RangeSeries]) -> None:
    for one in answer:
        times, values = points.setdefault(one.labels, ([], []))
        for at, value in zip(one.times, one.values, strict=True):
            if math.isfinite(value):
                times.append(at)
                values.append(value)


def _missing(
    objectives: Sequence[Asked], series: dict[Hashable, tuple[RangeSeries, ...]], failures: dict[Hashable, QueryFailure]
) -> Iterator[str]:
    for one in objectives:
        for each in one.questions.watched:
            key = each.query.key
            if key not in series:
                why = failures[key].message if key in failures else "no data in this time"
                yield f"{one.slo.namespace}/{one.slo.name} {each.indicator}: {why}"
