"""Checks an objective against the data of a metric source: whether its series exist, and whether its limits fit
them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.api.advice import shortened
from forestall.api.findings import Finding, Path
from forestall.api.service_level_objective import LatencyIndicator
from forestall.core.duration import exact_duration
from forestall.core.promql import quote
from forestall.core.promql.relaxed_selectors import RelaxableSelector, relaxable_selectors, values_of
from forestall.core.risk import SLI
from forestall.core.unit_mismatch import unit_mismatch
from forestall.core.wording import did_you_mean, shortened_list
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries, plan_queries
from forestall.engine.readings import Reading, read
from forestall.engine.source_health import OF_SOURCES
from forestall.errors import MetricsError
from forestall.ports import Metrics, Query, QueryFailure

_DAY: Final = 86_400.0
_STEP: Final = 300.0
_VALUES: Final = 12
"""How many values of a label, buckets or names are shown."""
_NAME: Final = "forestall_name"
_LEAST_PART: Final = 4
"""The length from which a part of a metric's name is used to find similar names."""


class ObjectiveChecker:
    """Checks objectives against one source, at one time."""

    def __init__(self, metrics: Metrics, at: float, interval: float) -> None:
        self._metrics = metrics
        self._at = at
        self._interval = interval

    async def check(self, slo: ServiceLevelObjective, source: MetricSource) -> list[Finding]:
        """Return the problems of an objective with the data.

        Raises:
            InvalidQuery: one of its expressions is not valid PromQL for its field.
            MetricsError: the source can't be queried.
        """
        queries = plan_queries(slo, source, self._interval)
        findings: list[Finding] = []
        readings = await self._readings(queries)
        for number, reading in enumerate(readings):
            at = _path(slo, number)
            if reading.problem is not None:
                findings += await self._why(slo, reading, reading.problem, at)
            elif reading.watched.indicator != SLI:
                findings += await self._proportion(queries.source, reading.watched, at)
        return findings

    async def _readings(self, queries: ObjectiveQueries) -> list[Reading]:
        answers = await self._metrics.instant(queries.source, [query.query for query in queries.watched], self._at)
        for answer in answers.values():
            if isinstance(answer, QueryFailure) and answer.reason in OF_SOURCES:
                raise MetricsError(answer.reason, answer.message)
        return [
            read(query, answers[query.query.key], self._at - query.query.freshness.stale_after)
            for query in queries.watched
        ]

    async def _why(
        self, slo: ServiceLevelObjective, reading: Reading, problem: QueryFailure, at: Path
    ) -> list[Finding]:
        if problem.reason == "LabelMissing":
            return [Finding("error", (*at[:-1], "per"), problem.message)]
        if problem.reason not in ("NoData", "NotComparable"):
            return [Finding("error", at, f"{problem.message}; sent was {shortened(reading.watched.query.expr)}")]
        latency = slo.spec.indicator.latency if reading.watched.indicator == SLI else None
        messages = []
        for selector in relaxable_selectors(reading.watched.query.expr):
            if not await self._exists(slo.spec.source, selector.text):
                messages += await self._missing(slo.spec.source, selector, latency)
        if messages:
            return [Finding("error", at, message) for message in dict.fromkeys(messages)]
        # The series are there: that nothing happened just now is no fault.
        return [Finding("warning", at, problem.message)]

    async def _missing(self, source: str, selector: RelaxableSelector, latency: LatencyIndicator | None) -> list[str]:
        """Return a sentence that says which part of a selector matches nothing."""
        if selector.name_only and not await self._exists(source, selector.name_only):
            return [await self._no_metric(source, selector.name, latency)]
        for (label, value), relaxed in zip(selector.matchers, selector.relaxed, strict=True):
            values = await self._values(source, label, relaxed) if relaxed else []
            if label == "le" and latency is not None and values:
                return [_no_bucket(values, latency)]
            if values:
                return [_no_value(selector, label, value, values)]
        for label, value in selector.matchers:
            values = await self._values(source, label, selector.name_only) if selector.name_only else []
            if values and value not in values:
                return [_no_value(selector, label, value, values)]
        return [f"no series is found by {shortened(selector.text)}: each of its matchers finds some, not all together"]

    async def _no_metric(self, source: str, name: str, latency: LatencyIndicator | None) -> str:
        if latency is not None:
            plain = name.removesuffix("_bucket").removesuffix("_count")
            if latency.type == "Classic" and await self._exists(source, plain):
                return f"there is no {name}, but {plain}: is it a native histogram? Write type: Native"
            if latency.type == "Native" and await self._exists(source, f"{name}_bucket"):
                return f"there is no {name}, but {name}_bucket: it is a classic histogram; write type: Classic"
        parts = sorted((part for part in name.replace(":", "_").split("_") if len(part) >= _LEAST_PART), key=len)
        names: list[str] = []
        for part in reversed(parts):
            like = f"{{__name__=~{quote(f'.*{part}.*')}}}"
            # An answer does not keep the name of the metric, but another label.
            names += await self._values(source, _NAME, f'label_replace({like}, "{_NAME}", "$1", "__name__", "(.+)")')
        shown_names = ", ".join(dict.fromkeys(names[:_VALUES]))
        hint = did_you_mean(name, names) or (f" There are {shown_names}" if names else " Is it the right Prometheus?")
        return f"there is no metric {name}.{hint}"

    async def _proportion(self, source: str, watched: IndicatorQuery, at: Path) -> list[Finding]:
        past = await self._metrics.range(source, [watched.query], self._at - _DAY, self._at, _STEP)
        series = past[watched.query.key]
        if isinstance(series, QueryFailure):
            return []
        values = [value for one_series in series for value in one_series.values if math.isfinite(value)]
        if not values:
            return []
        message = unit_mismatch(watched.limit, min(values), max(values), above=watched.above)
        return [] if message is None else [Finding("warning", (*at[:-1], "limit"), message)]

    async def _exists(self, source: str, selector: str) -> bool:
        return bool(await self._samples(source, f"count({selector})"))

    async def _values(self, source: str, label: str, selector: str) -> list[str]:
        """Return the most frequent values of a label; an empty value stands for series without it."""
        samples = await self._samples(source, values_of(label, selector, 4 * _VALUES))
        return sorted(labels.get(label, "") for labels in samples)

    async def _samples(self, source: str, expr: str) -> list[Mapping[str, str]]:
        query = Query(expr, expr, max_series=4 * _VALUES)
        answer = (await self._metrics.instant(source, [query], self._at))[query.key]
        return [] if isinstance(answer, QueryFailure) else [dict(sample.labels) for sample in answer.samples]


def _path(slo: ServiceLevelObjective, number: int) -> Path:
    if number:
        return ("spec", "leadingIndicators", number - 1, "query")
    indicator = slo.spec.indicator
    kinds = ("ratio", "latency", "threshold", "raw")
    return ("spec", "indicator", next(kind for kind in kinds if getattr(indicator, kind) is not None))


def _no_value(selector: RelaxableSelector, label: str, value: str, values: Sequence[str]) -> str:
    existing = [existing_value for existing_value in values if existing_value]
    metric = selector.name or "what it selects"
    if not existing:
        return f"the series of {metric} have no label {label}: leave the matcher out, or name another label"
    shown_values = shortened_list(existing, _VALUES)
    message = (
        f"no series of {metric} has {label}={value!r}; there {label} is {shown_values}.{did_you_mean(value, existing)}"
    )
    return message.rstrip(".")


def _no_bucket(values: Iterable[str], latency: LatencyIndicator) -> str:
    bounds = sorted(bound for bound in map(_number, values) if math.isfinite(bound))
    per_second = 1000.0 if latency.unit == "Milliseconds" else 1.0
    wanted = latency.threshold.seconds * per_second
    shown_bounds = shortened_list((f"{bound:g}" for bound in bounds), _VALUES)
    message = f"no bucket {wanted:g}; there are {shown_bounds}"
    if not bounds:
        return f"no bucket {wanted:g}; there are none but that of all"
    if latency.unit == "Seconds" and (wanted * 1000 in bounds or wanted * 10 < bounds[0]):
        return f"{message}: Milliseconds? Then write unit: Milliseconds"
    if latency.unit == "Milliseconds" and (wanted / 1000 in bounds or wanted > 10 * bounds[-1]):
        return f"{message}: Seconds? Then write unit: Seconds"
    near = min(bounds, key=lambda bound: abs(bound - wanted))
    milliseconds = round(near / per_second * 1000)
    duration = f"{milliseconds}ms" if milliseconds % 1000 else exact_duration(milliseconds // 1000)
    return f"{message}. Choose a bucket's bound, such as threshold: {duration}"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
