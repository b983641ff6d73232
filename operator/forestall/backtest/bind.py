"""Which measurements answer which query."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.backtest.history import Floats, History, Labels
from forestall.backtest.tables import Column
from forestall.core.risk import SLI
from forestall.core.slo import burn_windows
from forestall.engine.questions import LONG, WHOLE, Questions, questions
from forestall.errors import InvalidInput, InvalidQuery
from forestall.ports import RangeSeries
from forestall.registry import Registry


@dataclass(frozen=True, slots=True)
class Asked:
    """An objective, and what the engine asks about it."""

    slo: ServiceLevelObjective
    questions: Questions

    @property
    def indicators(self) -> list[str]:
        """The names of its indicators, that of the SLI last."""
        return sorted((each.indicator for each in self.questions.watched), key=lambda name: (name == SLI, name))


def asked(registry: Registry, interval: float) -> list[Asked]:
    """Return what the engine asks about each objective, with cycles every `interval` seconds.

    Raises:
        InvalidInput: a query is not PromQL; the message names the objective and the field.
    """
    result = []
    for slo in registry.all(ServiceLevelObjective):
        source = registry.get(MetricSource, slo.spec.source)
        if source is None:
            raise InvalidInput(f"{slo.namespace}/{slo.name}: there is no MetricSource {slo.spec.source}")
        try:
            result.append(Asked(slo, questions(slo, source, interval)))
        except InvalidQuery as error:
            raise InvalidInput(f"{slo.namespace}/{slo.name}: {error}") from error
    return result


def bind(columns: Sequence[Column], objectives: Sequence[Asked]) -> tuple[History, tuple[str, ...]]:
    """Return the history that `columns` make for the objectives, and what of them nobody asks for.

    A column is an indicator's by its name; one without a name by the only leading indicator that there is. A column
    named `sli` is the share of bad events at each moment; what the engine asks of it is averaged over its windows.

    Raises:
        InvalidInput: no column is of any indicator.
    """
    series: dict[Hashable, tuple[RangeSeries, ...]] = defaultdict(tuple)
    unused = []
    for column in columns:
        takers = [(one, name) for one in objectives for name in one.indicators if _is_of(column, one, name, objectives)]
        if not takers:
            unused.append(column.where)
        for one, name in takers:
            for key, some in _answers(one, name, column).items():
                series[key] = merged((*series[key], *some))
    if not series:
        raise InvalidInput(
            f"nothing in the history is of an indicator of the objectives. It has {_names(columns)}; the objectives "
            f"ask for {_wanted(objectives)}: name the columns after the indicators"
        )
    return History(dict(series)), tuple(unused)


def merged(series: Iterable[RangeSeries]) -> tuple[RangeSeries, ...]:
    """Return series of the same labels as one; of points at the same time the later one's counts."""
    points: dict[Labels, dict[float, float]] = defaultdict(dict)
    for one in series:
        points[one.labels].update(zip(one.times, one.values, strict=True))
    return tuple(
        RangeSeries(labels, tuple(sorted(some)), tuple(some[at] for at in sorted(some)))
        for labels, some in points.items()
    )


def _is_of(column: Column, one: Asked, indicator: str, objectives: Sequence[Asked]) -> bool:
    if column.objective and column.objective not in (one.slo.name, f"{one.slo.namespace}/{one.slo.name}"):
        return False
    if column.indicator:
        return column.indicator == indicator
    leading = [(each, name) for each in objectives for name in each.indicators if name != SLI]
    return leading == [(one, indicator)]


def _answers(one: Asked, indicator: str, column: Column) -> Mapping[Hashable, tuple[RangeSeries, ...]]:
    watched = next(each for each in one.questions.watched if each.indicator == indicator)
    if indicator != SLI:
        return {watched.query.key: column.series}
    if len(column.series) != 1:
        raise InvalidInput(f"{column.where}: {SLI} has {len(column.series)} series; it is one number at each moment")
    ratio = column.series[0]
    if min(ratio.values) < 0 or max(ratio.values) > 1:
        raise InvalidInput(f"{column.where}: {SLI} is the share of bad events: from 0 to 1")
    windows = burn_windows(one.slo.spec.window.seconds, 0.0)
    return {
        watched.query.key: (_averaged(ratio, windows.short),),
        (one.slo.uid, LONG): (_averaged(ratio, windows.long),),
        (one.slo.uid, WHOLE): (_averaged(ratio, one.slo.spec.window.seconds),),
    }


def _averaged(series: RangeSeries, window: float) -> RangeSeries:
    """Return, at each time, the mean of the `window` seconds until then."""
    times: Floats = np.asarray(series.times)
    total = np.concatenate(([0.0], np.cumsum(series.values)))
    end = np.arange(1, times.size + 1)
    first = np.minimum(np.searchsorted(times, times - window, side="right"), end - 1)
    mean = (total[end] - total[first]) / (end - first)
    return RangeSeries(series.labels, series.times, tuple(np.clip(mean, 0.0, 1.0).tolist()))


def _names(columns: Iterable[Column]) -> str:
    names = sorted({f"{one.objective}/{one.indicator}".strip("/") or "(a column without a name)" for one in columns})
    return ", ".join(names)


def _wanted(objectives: Iterable[Asked]) -> str:
    return "; ".join(f"{one.slo.name}: {', '.join(one.indicators)}" for one in objectives)
