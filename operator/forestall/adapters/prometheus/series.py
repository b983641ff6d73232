"""From the JSON of an answer to the samples and series of the port."""

from collections.abc import Mapping, Sequence
from typing import Any

from forestall.adapters.prometheus.asking import Outcome
from forestall.adapters.prometheus.judging import MALFORMED, Verdict
from forestall.adapters.prometheus.trouble import QueryTrouble, failure
from forestall.errors import MetricsError
from forestall.ports import Answer, QueryFailure, RangeSeries, Sample

Labels = tuple[tuple[str, str], ...]


def answer_of(outcome: Outcome, verdict: Verdict | QueryFailure) -> Answer | QueryFailure:
    """Return the answer of an instant query, of which `verdict` says whether it can be believed."""
    if isinstance(outcome, QueryFailure):
        return outcome
    if isinstance(verdict, QueryFailure):
        return verdict
    try:
        samples = tuple(Sample(labels, float(each["value"][1])) for labels, each in _labelled(outcome.series))
    except MetricsError as trouble:
        return failure(trouble)
    except (KeyError, IndexError, TypeError, ValueError):
        return MALFORMED
    return Answer(samples, verdict.newest, outcome.warnings, verdict.lacking, verdict.members)


class Past:
    """The series of one range query, put together from the answers for consecutive parts of the range."""

    def __init__(self) -> None:
        self.failure: QueryFailure | None = None
        """Why there is no answer."""
        self._points: dict[Labels, tuple[list[float], list[float]]] = {}

    def add(self, outcome: Outcome) -> None:
        """Take the outcome for the next part."""
        if isinstance(outcome, QueryFailure):
            self.failure = outcome
            return
        if outcome.warnings:  # gaps would be learnt from as if they had been so
            self.failure = QueryFailure("SourceBadAnswer", "; ".join(outcome.warnings))
            return
        try:
            for labels, each in _labelled(outcome.series):
                times, values = self._points.setdefault(labels, ([], []))
                more_times, more_values = each["values"]
                times.extend(more_times)
                values.extend(more_values)
        except MetricsError as trouble:
            self.failure = failure(trouble)
        except (KeyError, TypeError, ValueError):
            self.failure = MALFORMED

    def answer(self) -> tuple[RangeSeries, ...] | QueryFailure:
        """Return the series, or why there are none."""
        if self.failure is not None:
            return self.failure
        return tuple(RangeSeries(labels, tuple(t), tuple(v)) for labels, (t, v) in self._points.items())


def _labelled(series: Sequence[Mapping[str, Any]]) -> list[tuple[Labels, Mapping[str, Any]]]:
    """Return the series with their sorted labels, without the name of the metric.

    Raises:
        QueryTrouble: the query is to give other series.
    """
    seen: set[Labels] = set()
    found = []
    for each in series:
        if "value" not in each and "values" not in each:
            raise QueryTrouble(
                "QueryRefused",
                "the query gives native histograms, not numbers: use a function such as histogram_quantile",
            )
        labels = tuple(sorted((str(k), str(v)) for k, v in each["metric"].items() if k != "__name__"))
        if labels in seen:
            raise QueryTrouble(
                "QueryRefused",
                "the query gives series that differ in nothing but their names: select one, or aggregate",
            )
        seen.add(labels)
        found.append((labels, each))
    return found
