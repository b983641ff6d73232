"""Assign the columns of a history file to the queries of objectives."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.backtest.history import Floats, History
from forestall.core.risk import SLI
from forestall.core.slo import burn_windows
from forestall.engine.indicator_queries import LONG, WHOLE, ObjectiveQueries, plan_queries
from forestall.errors import InvalidInput, InvalidQuery
from forestall.inputs.tables import Column
from forestall.ports import Labels, RangeSeries
from forestall.registry import Registry


@dataclass(frozen=True, slots=True)
class QueriedObjective:
    """An objective and the queries that the engine sends for it."""

    slo: ServiceLevelObjective
    queries: ObjectiveQueries

    @property
    def indicators(self) -> list[str]:
        """The names of its indicators; the SLI comes last."""
        return sorted(
            (indicator_query.indicator for indicator_query in self.queries.watched),
            key=lambda name: (name == SLI, name),
        )


def queried_objectives(registry: Registry, interval: float) -> list[QueriedObjective]:
    """Return the queries of each objective, for cycles every `interval` seconds.

    Raises:
        InvalidInput: a query is not PromQL; the message names the objective and the field.
    """
    result = []
    for slo in registry.all(ServiceLevelObjective):
        source = registry.get(MetricSource, slo.spec.source)
        if source is None:
            raise InvalidInput(f"{slo.namespace}/{slo.name}: there is no MetricSource {slo.spec.source}")
        try:
            result.append(QueriedObjective(slo, plan_queries(slo, source, interval)))
        except InvalidQuery as error:
            raise InvalidInput(f"{slo.namespace}/{slo.name}: {error}") from error
    return result


def bind(columns: Sequence[Column], objectives: Sequence[QueriedObjective]) -> tuple[History, tuple[str, ...]]:
    """Return the history of the objectives' queries, and the locations of columns that no objective uses.

    A column belongs to the indicator that it is named after; a column without a name belongs to the only leading
    indicator. A column named `sli` is the share of bad events at each time, and is averaged over the windows of the
    error ratio queries.

    Raises:
        InvalidInput: no column belongs to an indicator.
    """
    series: dict[Hashable, tuple[RangeSeries, ...]] = defaultdict(tuple)
    unused = []
    for column in columns:
        matches = [
            (objective, name)
            for objective in objectives
            for name in objective.indicators
            if _belongs_to(column, objective, name, objectives)
        ]
        if not matches:
            unused.append(column.location)
        for objective, name in matches:
            for key, answer in _series_by_query(objective, name, column).items():
                series[key] = merge_series((*series[key], *answer))
    if not series:
        raise InvalidInput(
            f"no column of the history belongs to an indicator of the objectives. The columns are "
            f"{_describe_columns(columns)}; the indicators are {_describe_objectives(objectives)}: name the columns "
            "after the indicators"
        )
    return History(dict(series)), tuple(unused)


def merge_series(answers: Iterable[RangeSeries]) -> tuple[RangeSeries, ...]:
    """Merge series that have the same labels; of two samples at the same time the later series wins."""
    points: dict[Labels, dict[float, float]] = defaultdict(dict)
    for series in answers:
        points[series.labels].update(zip(series.times, series.values, strict=True))
    return tuple(
        RangeSeries(labels, tuple(sorted(by_time)), tuple(by_time[at] for at in sorted(by_time)))
        for labels, by_time in points.items()
    )


def _belongs_to(
    column: Column, objective: QueriedObjective, indicator: str, objectives: Sequence[QueriedObjective]
) -> bool:
    if column.objective and column.objective not in (
        objective.slo.name,
        f"{objective.slo.namespace}/{objective.slo.name}",
    ):
        return False
    if column.indicator:
        return column.indicator == indicator
    leading = [(candidate, name) for candidate in objectives for name in candidate.indicators if name != SLI]
    return leading == [(objective, indicator)]


def _series_by_query(
    objective: QueriedObjective, indicator: str, column: Column
) -> Mapping[Hashable, tuple[RangeSeries, ...]]:
    indicator_query = next(query for query in objective.queries.watched if query.indicator == indicator)
    if indicator != SLI:
        return {indicator_query.query.key: column.series}
    if len(column.series) != 1:
        raise InvalidInput(f"{column.location}: {SLI} has {len(column.series)} series: it must be a single series")
    ratio = column.series[0]
    if min(ratio.values) < 0 or max(ratio.values) > 1:
        raise InvalidInput(f"{column.location}: {SLI} is the share of bad events: its values must be from 0 to 1")
    windows = burn_windows(objective.slo.spec.window.seconds, 0.0)
    return {
        indicator_query.query.key: (_average(ratio, windows.short),),
        (objective.slo.uid, LONG): (_average(ratio, windows.long),),
        (objective.slo.uid, WHOLE): (_average(ratio, objective.slo.spec.window.seconds),),
    }


def _average(series: RangeSeries, window: float) -> RangeSeries:
    """Return, at each time, the mean over the preceding `window` seconds."""
    times: Floats = np.asarray(series.times)
    total = np.concatenate(([0.0], np.cumsum(series.values)))
    end = np.arange(1, times.size + 1)
    first = np.minimum(np.searchsorted(times, times - window, side="right"), end - 1)
    mean = (total[end] - total[first]) / (end - first)
    return RangeSeries(series.labels, series.times, tuple(np.clip(mean, 0.0, 1.0).tolist()))


def _describe_columns(columns: Iterable[Column]) -> str:
    names = sorted(
        {f"{column.objective}/{column.indicator}".strip("/") or "(a column without a name)" for column in columns}
    )
    return ", ".join(names)


def _describe_objectives(objectives: Iterable[QueriedObjective]) -> str:
    return "; ".join(f"{objective.slo.name}: {', '.join(objective.indicators)}" for objective in objectives)
