"""Turns the JSON of responses into the samples and series of the port; each series is validated."""

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from operator import lt
from typing import Any, Final

from forestall.adapters.prometheus.absence import DataVerdict
from forestall.adapters.prometheus.document import labels_of, malformed, value_of
from forestall.adapters.prometheus.errors import QueryTrouble, failure
from forestall.adapters.prometheus.question import Outcome
from forestall.core.clock_skew import ClockOffset
from forestall.core.promql import quote
from forestall.errors import MetricsError
from forestall.ports import Answer, Labels, QueryFailure, RangeSeries, Sample

_SLACK: Final = 1.0
"""By how many seconds, besides one step, a time may be outside the requested range: sources round."""
_SHOWN: Final = 200
"""How many characters of a series are shown in a message."""


def answer_of(
    outcome: Outcome, verdict: DataVerdict | QueryFailure, clock: ClockOffset | None = None, *, named: bool = False
) -> Answer | QueryFailure:
    """Return the answer to an instant query, with the `verdict` on its data.

    `named`: its series are of several metrics, and keep the label `__name__`.
    """
    if isinstance(outcome, QueryFailure):
        return outcome
    if isinstance(verdict, QueryFailure) and outcome.warnings:  # which say more
        verdict = DataVerdict(None, verdict.message)
    if isinstance(verdict, QueryFailure):
        return verdict
    try:
        samples = tuple(
            Sample(labels, math.nan if "histogram" in body else value_of(body.get("value")))
            for labels, body in _labelled(outcome.series, named=named)
        )
    except MetricsError as trouble:
        return failure(trouble)
    return Answer(samples, verdict.newest, outcome.warnings, verdict.lacking, verdict.members, clock)


class RangeAssembly:
    """Joins the series of one range query from the answers for consecutive parts of the range.

    `named`: the series are of several metrics, and keep the label `__name__`.
    """

    def __init__(self, *, named: bool = False) -> None:
        self._named = named
        self.failure: QueryFailure | None = None
        """Why there is no answer, if so."""
        self._points: dict[Labels, tuple[list[float], list[float]]] = {}

    def add(self, outcome: Outcome, span: tuple[float, float, float]) -> None:
        """Add the outcome for the next part; `span` is its start, end and step (s)."""
        if isinstance(outcome, QueryFailure):
            self.failure = outcome
            return
        if outcome.warnings:  # gaps would be learnt from as if they had been so
            self.failure = QueryFailure("SourceBadAnswer", "; ".join(outcome.warnings))
            return
        try:
            for labels, body in _labelled(outcome.series, named=self._named):
                if "values" not in body and "histograms" in body:
                    continue
                times, values = self._points.setdefault(labels, ([], []))
                more_times, more_values = _within(span, body.get("values"))
                times.extend(more_times)
                values.extend(more_values)
        except MetricsError as trouble:
            self.failure = failure(trouble)

    def answer(self) -> tuple[RangeSeries, ...] | QueryFailure:
        """Return the series, or the failure."""
        if self.failure is not None:
            return self.failure
        return tuple(RangeSeries(labels, tuple(t), tuple(v)) for labels, (t, v) in self._points.items())


def _within(span: tuple[float, float, float], points: Any) -> tuple[list[float], list[float]]:
    """Return the points of a series, as `document.read` returns them, after a check that their times are in the
    range.
    """
    if points is None:
        raise malformed()
    times, values = points
    first, last, step = span
    slack = step + _SLACK
    if times and not first - slack <= times[0] <= times[-1] <= last + slack:
        raise malformed()
    if not all(map(lt, times, islice(times, 1, None))):
        raise malformed()
    return times, values


def _labelled(series: Sequence[Any], *, named: bool) -> Sequence[tuple[Labels, Mapping[str, Any]]]:
    """Return the series with sorted labels, with the metric name only where `named`.

    Some series may be native histograms.

    Raises:
        SourceTrouble: one is no valid series.
        QueryTrouble: the query must return other series.
    """
    label_sets: set[Labels] = set()
    labelled: list[tuple[Labels, Mapping[str, Any]]] = []
    if series and all(_is_histogram(body) for body in series):
        raise QueryTrouble(
            "QueryRefused", "the query gives native histograms, not numbers: use a function such as histogram_quantile"
        )
    for body in series:
        if not isinstance(body, dict):
            raise malformed()
        all_labels = labels_of(body.get("metric"))
        labels = tuple(sorted((k, v) for k, v in all_labels.items() if named or k != "__name__"))
        if labels in label_sets:
            raise _doubled(next(first["metric"] for earlier, first in labelled if earlier == labels), all_labels)
        label_sets.add(labels)
        labelled.append((labels, body))
    return labelled


def _doubled(first: Mapping[str, str], second: Mapping[str, str]) -> QueryTrouble:
    """Return the error that two series have the same labels; both have been validated."""
    label_text = ", ".join(f"{name}={quote(first[name])}" for name in sorted(first) if name != "__name__")[:_SHOWN]
    both_series = f"{first.get('__name__', '')}{{{label_text}}} and {second.get('__name__', '')}{{{label_text}}}"
    return QueryTrouble(
        "QueryRefused",
        f"the query gives series that differ in nothing but their names: {both_series}; select one, or aggregate",
    )


def _is_histogram(series: Any) -> bool:
    numbers = {"value", "values"}
    return isinstance(series, dict) and numbers.isdisjoint(series) and bool({"histogram", "histograms"} & series.keys())
