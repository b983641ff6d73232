"""An objective held against the data of a metric source: do its series exist, and are its numbers meant for them?"""

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
from forestall.core.wording import did_you_mean
from forestall.engine.observe import Reading, read
from forestall.engine.questions import Questions, Watched, questions
from forestall.errors import MetricsError
from forestall.ports import Metrics, Query, QueryFailure

_DAY: Final = 86_400.0
_STEP: Final = 300.0
_VALUES: Final = 12
"""How many values of a label, buckets or names are shown."""
_SOURCE: Final = frozenset({"SourceDown", "SourceTimeout", "SourceUnauthorized", "SourceBadAnswer", "SourceMissing"})
_NAME: Final = "forestall_name"
_LEAST_PART: Final = 4
"""Parts of a metric's name that are shorter say little."""


class Examiner:
    """Asks one source about objectives, at one time."""

    def __init__(self, metrics: Metrics, at: float, interval: float) -> None:
        self._metrics = metrics
        self._at = at
        self._interval = interval

    async def examine(self, slo: ServiceLevelObjective, source: MetricSource) -> list[Finding]:
        """Return what of an objective does not suit the data.

        Raises:
            InvalidQuery: one of its texts is not the PromQL that its place asks for.
            MetricsError: the source can't be asked.
        """
        asked = questions(slo, source, self._interval)
        found: list[Finding] = []
        readings = await self._readings(asked)
        for number, reading in enumerate(readings):
            at = _place(slo, number)
            if reading.problem is not None:
                found += await self._why(slo, reading, reading.problem, at)
            elif reading.watched.indicator != SLI:
                found += await self._proportion(asked.source, reading.watched, at)
        return found

    async def _readings(self, asked: Questions) -> list[Reading]:
        answers = await self._metrics.instant(asked.source, [each.query for each in asked.watched], self._at)
        for answer in answers.values():
            if isinstance(answer, QueryFailure) and answer.reason in _SOURCE:
                raise MetricsError(answer.reason, answer.message)
        return [read(each, answers[each.query.key], self._at - each.query.proof.stale_after) for each in asked.watched]

    async def _why(
        self, slo: ServiceLevelObjective, reading: Reading, problem: QueryFailure, at: Path
    ) -> list[Finding]:
        if problem.reason == "LabelMissing":
            return [Finding("error", (*at[:-1], "per"), problem.message)]
        if problem.reason not in ("NoData", "NotComparable"):
            return [Finding("error", at, f"{problem.message}; sent was {shortened(reading.watched.query.expr)}")]
        latency = slo.spec.indicator.latency if reading.watched.indicator == SLI else None
        words = []
        for each in relaxable_selectors(reading.watched.query.expr):
            if not await self._exists(slo.spec.source, each.text):
                words += await self._missing(slo.spec.source, each, latency)
        if words:
            return [Finding("error", at, said) for said in dict.fromkeys(words)]
        # The series are there: that nothing happened just now is no fault.
        return [Finding("warning", at, problem.message)]

    async def _missing(self, source: str, each: RelaxableSelector, latency: LatencyIndicator | None) -> list[str]:
        """Return in words what of a selector finds nothing."""
        if each.name_only and not await self._exists(source, each.name_only):
            return [await self._no_metric(source, each.name, latency)]
        for (label, value), relaxed in zip(each.matchers, each.relaxed, strict=True):
            values = await self._values(source, label, relaxed) if relaxed else []
            if label == "le" and latency is not None and values:
                return [_no_bucket(values, latency)]
            if values:
                return [_no_value(each, label, value, values)]
        for label, value in each.matchers:
            values = await self._values(source, label, each.name_only) if each.name_only else []
            if values and value not in values:
                return [_no_value(each, label, value, values)]
        return [f"no series is found by {shortened(each.text)}: each of its matchers finds some, not all together"]

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
        shown = ", ".join(dict.fromkeys(names[:_VALUES]))
        hint = did_you_mean(name, names) or (f" There are {shown}" if names else " Is it the right Prometheus?")
        return f"there is no metric {name}.{hint}"

    async def _proportion(self, source: str, watched: Watched, at: Path) -> list[Finding]:
        past = await self._metrics.range(source, [watched.query], self._at - _DAY, self._at, _STEP)
        series = past[watched.query.key]
        if isinstance(series, QueryFailure):
            return []
        values = [value for each in series for value in each.values if math.isfinite(value)]
        if not values:
            return []
        words = unit_mismatch(watched.limit, min(values), max(values), above=watched.above)
        return [] if words is None else [Finding("warning", (*at[:-1], "limit"), words)]

    async def _exists(self, source: str, selector: str) -> bool:
        return bool(await self._samples(source, f"count({selector})"))

    async def _values(self, source: str, label: str, selector: str) -> list[str]:
        """Return the values of a label, the most frequent ones; an empty one where series lack it."""
        samples = await self._samples(source, values_of(label, selector, 4 * _VALUES))
        return sorted(each.get(label, "") for each in samples)

    async def _samples(self, source: str, expr: str) -> list[Mapping[str, str]]:
        query = Query(expr, expr, max_series=4 * _VALUES)
        answer = (await self._metrics.instant(source, [query], self._at))[query.key]
        return [] if isinstance(answer, QueryFailure) else [dict(each.labels) for each in answer.samples]


def _place(slo: ServiceLevelObjective, number: int) -> Path:
    if number:
        return ("spec", "leadingIndicators", number - 1, "query")
    indicator = slo.spec.indicator
    kinds = ("ratio", "latency", "threshold", "raw")
    return ("spec", "indicator", next(kind for kind in kinds if getattr(indicator, kind) is not None))


def _no_value(each: RelaxableSelector, label: str, value: str, values: Sequence[str]) -> str:
    there = [one for one in values if one]
    what = each.name or "what it selects"
    if not there:
        return f"the series of {what} have no label {label}: leave the matcher out, or name another label"
    shown = ", ".join(there[:_VALUES]) + (", …" if len(there) > _VALUES else "")
    words = f"no series of {what} has {label}={value!r}; there {label} is {shown}.{did_you_mean(value, there)}"
    return words.rstrip(".")


def _no_bucket(values: Iterable[str], latency: LatencyIndicator) -> str:
    bounds = sorted(bound for bound in map(_number, values) if math.isfinite(bound))
    per_second = 1000.0 if latency.unit == "Milliseconds" else 1.0
    wanted = latency.threshold.seconds * per_second
    shown = ", ".join(f"{bound:g}" for bound in bounds[:_VALUES]) + (", …" if len(bounds) > _VALUES else "")
    words = f"no bucket {wanted:g}; there are {shown}"
    if not bounds:
        return f"no bucket {wanted:g}; there are none but that of all"
    if latency.unit == "Seconds" and (wanted * 1000 in bounds or wanted * 10 < bounds[0]):
        return f"{words}: Milliseconds? Then write unit: Milliseconds"
    if latency.unit == "Milliseconds" and (wanted / 1000 in bounds or wanted > 10 * bounds[-1]):
        return f"{words}: Seconds? Then write unit: Seconds"
    near = min(bounds, key=lambda bound: abs(bound - wanted))
    milliseconds = round(near / per_second * 1000)
    said = f"{milliseconds}ms" if milliseconds % 1000 else exact_duration(milliseconds // 1000)
    return f"{words}. Choose a bucket's bound, such as threshold: {said}"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
