"""Turns an objective into its PromQL queries."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.api.metric_source import NamespaceShare
from forestall.api.query_texts import check_queries
from forestall.api.service_level_objective import Indicator, LeadingIndicator
from forestall.core import promql
from forestall.core.duration import exact_duration
from forestall.core.risk import SLI
from forestall.core.slo import burn_windows, fast_burn_limit
from forestall.engine.chunked_window import SAMPLED_OVER, ChunkedWindow
from forestall.errors import InvalidQuery
from forestall.ports import FreshnessRequirements, Query

LONG = "sli:long"
"""The error ratio over the long window of the fast burn."""
WHOLE = "sli:window"
"""The error ratio over the objective's whole window."""
TRAFFIC = "traffic"
"""How many events there are a second, good or bad."""
_SLI_HORIZON = 20
"""How many intervals ahead a burn rate is forecast where no leading indicator sets a horizon."""
_LEAST_RATE = 4
"""How many intervals the range of a rate covers at least."""
_SLOWEST_BUDGET = 1800.0


@dataclass(frozen=True, slots=True)
class IndicatorQuery:
    """One indicator of one objective: its query, and the limit for its series."""

    objective: str
    """The objective's UID."""
    indicator: str
    query: Query
    limit: float
    above: bool
    horizon: float
    per: str | None
    long_trend: bool

    def key(self, labels: tuple[tuple[str, str], ...]) -> Hashable:
        """Return the matrix key of one of its series."""
        return (self.objective, self.indicator, labels)


@dataclass(frozen=True, slots=True)
class ObjectiveQueries:
    """All queries of one objective."""

    source: str
    watched: tuple[IndicatorQuery, ...]
    long: Query
    window_query: Query | ChunkedWindow
    window_interval: float
    """Seconds between two queries over the whole window, which are expensive and change slowly."""
    long_window: float = math.nan
    """The range (s) of `long`."""
    namespace: str = ""
    """The objective's."""
    share: NamespaceShare = NamespaceShare()
    """The share of the source that the namespace may use."""


@dataclass(frozen=True, slots=True)
class QueryContext:
    """The settings that apply to all queries of an objective."""

    slo: ServiceLevelObjective
    source: MetricSource
    interval: float

    def with_tenant_label(self, expr: str) -> str:
        """Return `expr` restricted to the objective's namespace where its source enforces a tenant label.

        Raises:
            InvalidQuery: it can't be restricted.
        """
        label = self.source.spec.enforce_label
        return promql.enforce_label(expr, label, self.slo.namespace) if label and expr else expr

    def freshness(
        self, evidence: str, past_selector: str, label_pairs: tuple[tuple[str, str], ...] = ()
    ) -> FreshnessRequirements:
        """Return the evidence queries that show whether an answer is fresh and complete.

        Raises:
            InvalidQuery: as `with_tenant_label`.
        """
        label = self.source.spec.enforce_label
        return FreshnessRequirements(
            evidence=self.with_tenant_label(evidence),
            past_selector=self.with_tenant_label(past_selector),
            label_pairs=tuple(
                (self.with_tenant_label(lacking), self.with_tenant_label(having)) for lacking, having in label_pairs
            ),
            window=self.slo.spec.window.seconds,
            stale_after=max(self.source.spec.stale_after.seconds, 2 * self.interval),
            scope=f"{label}={promql.quote(self.slo.namespace)}" if label else "",
        )


def plan_queries(slo: ServiceLevelObjective, source: MetricSource, interval: float) -> ObjectiveQueries:
    """Return the queries of `slo`.

    Raises:
        InvalidQuery: one of its expressions is not valid PromQL for its field; the message names the field.
    """
    check_queries(slo)
    windows = burn_windows(slo.spec.window.seconds, interval * _LEAST_RATE)
    horizons = [leading.horizon.seconds for leading in slo.spec.leading_indicators]

    terms = QueryContext(slo, source, interval)

    def ask(name: str, expr: str, freshness: FreshnessRequirements) -> Query:
        return Query((slo.uid, name), terms.with_tenant_label(expr), source.spec.max_series, freshness, slo.namespace)

    def ratio(name: str, window: float) -> Query:
        indicator = slo.spec.indicator
        strict = name != WHOLE
        expr = _error_ratio(indicator, window, interval, strict=strict)
        label_pairs = _label_pairs(indicator) if strict else ()
        return ask(name, expr, terms.freshness(*_evidence(indicator, window), label_pairs))

    def leading(indicator: LeadingIndicator) -> IndicatorQuery:
        return IndicatorQuery(
            objective=slo.uid,
            indicator=indicator.name,
            query=ask(indicator.name, indicator.query, replace(terms.freshness("", ""), each_series=True)),
            limit=indicator.limit,
            above=indicator.direction == "Above",
            horizon=indicator.horizon.seconds,
            per=indicator.per,
            long_trend=indicator.trend == "Saturation",
        )

    sli = IndicatorQuery(
        objective=slo.uid,
        indicator=SLI,
        query=ratio(SLI, windows.short),
        limit=fast_burn_limit(slo.spec.objective),
        above=True,
        horizon=max(horizons, default=_SLI_HORIZON * interval),
        per=None,
        long_trend=False,
    )
    window_interval = min(max(windows.long, interval), _SLOWEST_BUDGET)
    return ObjectiveQueries(
        source=slo.spec.source,
        watched=(sli, *map(leading, slo.spec.leading_indicators)),
        long=ratio(LONG, windows.long),
        window_query=_pieces(terms, window_interval) or ratio(WHOLE, slo.spec.window.seconds),
        long_window=math.ceil(windows.long),
        window_interval=window_interval,
        namespace=slo.namespace,
        share=source.spec.per_namespace,
    )


def _pieces(terms: QueryContext, longest: float) -> ChunkedWindow | None:
    """Return the pieces of a threshold's window; None for other indicators, whose queries are cheap over any range."""
    slo, threshold = terms.slo, terms.slo.spec.indicator.threshold
    if threshold is None:
        return None
    counts = promql.sample_counts(threshold.query, window=SAMPLED_OVER)
    return ChunkedWindow(
        objective=slo.uid,
        owner=slo.namespace,
        bad=terms.with_tenant_label(promql.bad_by_threshold(threshold.query, threshold.operator, threshold.value)),
        samples=tuple(
            Query((slo.uid, f"{WHOLE}:samples:{number}"), terms.with_tenant_label(text), 1, owner=slo.namespace)
            for number, text in enumerate(counts)
        ),
        window=slo.spec.window.seconds,
        longest=longest,
        interval=terms.interval,
    )


def traffic_query(slo: ServiceLevelObjective, source: MetricSource, window: float) -> Query | None:
    """Return the query for the traffic of `slo` over `window` (s); None where its indicator does not count events.

    Raises:
        InvalidQuery: one of its expressions is not valid PromQL for its field.
    """
    over, indicator = exact_duration(math.ceil(window)), slo.spec.indicator
    if indicator.ratio is not None:
        expr = promql.traffic_of_counter(indicator.ratio.total, window=over)
    elif indicator.latency is not None:
        native = indicator.latency.type == "Native"
        expr = promql.traffic_of_histogram(indicator.latency.histogram, native=native, window=over)
    else:
        return None
    label = source.spec.enforce_label
    text = promql.enforce_label(expr, label, slo.namespace) if label else expr
    return Query((slo.uid, TRAFFIC), text, max_series=1, owner=slo.namespace)


def _evidence(indicator: Indicator, window: float) -> tuple[str, str]:
    """Return the expressions that show the error ratio's freshness, and those that may be absent although they existed
    before. Empty: the ratio's own series show it.
    """
    ratio = indicator.ratio
    if ratio is None:
        return "", ""
    over = exact_duration(math.ceil(window))
    return promql.evidence_of_counters(good=ratio.good, bad=ratio.bad, total=ratio.total, window=over)


def _label_pairs(indicator: Indicator) -> tuple[tuple[str, str], ...]:
    """Return, for each label whose absence would count events as good or bad, the selectors of series without and with
    it.
    """
    ratio = indicator.ratio
    return () if ratio is None else promql.classifying_labels(good=ratio.good, bad=ratio.bad, total=ratio.total)


def _error_ratio(indicator: Indicator, window: float, resolution: float, *, strict: bool) -> str:
    """Return the query for the share of bad events over `window` seconds; the CRD's rules ensure that one field is
    set.
    """
    over = exact_duration(math.ceil(window))
    if (ratio := indicator.ratio) is not None:
        return promql.error_ratio_of_counters(
            good=ratio.good, bad=ratio.bad, total=ratio.total, window=over, strict=strict
        )
    if (latency := indicator.latency) is not None:
        scale = 1000.0 if latency.unit == "Milliseconds" else 1.0
        return promql.error_ratio_of_histogram(
            latency.histogram,
            latency.threshold.seconds * scale,
            native=latency.type == "Native",
            window=over,
            strict=strict,
        )
    if (threshold := indicator.threshold) is not None:
        return promql.error_ratio_of_threshold(
            threshold.query,
            threshold.operator,
            threshold.value,
            window=over,
            resolution=exact_duration(math.ceil(resolution)),
        )
    if (raw := indicator.raw) is not None:
        return promql.error_ratio_of_query(raw.error_ratio, window=over)
    raise InvalidQuery("spec.indicator: give exactly one indicator: ratio, latency, threshold or raw")
