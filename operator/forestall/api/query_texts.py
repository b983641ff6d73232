"""The PromQL that an objective holds: each text, where it stands, and whether it is what its place asks for."""

from collections.abc import Callable, Iterator

from forestall.api.findings import Finding, Path
from forestall.api.service_level_objective import ServiceLevelObjective
from forestall.core import promql
from forestall.errors import InvalidQuery


def query_errors(slo: ServiceLevelObjective) -> Iterator[Finding]:
    """Yield an error for each text of an objective that is not the PromQL that its place asks for."""
    for path, text, check in _texts(slo):
        try:
            check(text)
        except InvalidQuery as error:
            yield Finding("error", path, str(error))


def check_queries(slo: ServiceLevelObjective) -> None:
    """Check all PromQL of an objective.

    Raises:
        InvalidQuery: a text is not what its place asks for; the message names the field.
    """
    for error in query_errors(slo):
        raise InvalidQuery(str(error))


def _texts(slo: ServiceLevelObjective) -> Iterator[tuple[Path, str, Callable[[str], None]]]:
    """Yield path and text of each piece of PromQL, and what checks that it is what its place asks for."""
    indicator, at = slo.spec.indicator, ("spec", "indicator")
    if (ratio := indicator.ratio) is not None:
        for name in ("good", "bad", "total"):
            if (text := getattr(ratio, name)) is not None:
                yield (*at, "ratio", name), text, promql.check_selector
    if indicator.latency is not None:
        native = indicator.latency.type == "Native"
        checked = promql.check_selector if native else promql.check_histogram
        yield (*at, "latency", "histogram"), indicator.latency.histogram, checked
    if indicator.threshold is not None:
        yield (*at, "threshold", "query"), indicator.threshold.query, promql.check_query
    if indicator.raw is not None:
        yield (*at, "raw", "errorRatio"), indicator.raw.error_ratio.replace("$window", "5m"), promql.check_query
    for number, leading in enumerate(slo.spec.leading_indicators):
        yield ("spec", "leadingIndicators", number, "query"), leading.query, promql.check_query
