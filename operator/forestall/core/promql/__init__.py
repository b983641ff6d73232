"""PromQL: validate queries, build them for indicators, restrict them to a tenant, join them, query their freshness.

No text is edited: every expression is parsed and rendered from its syntax tree, so the source gets the query that was
validated, whatever comments, escapes or spaces the author used.
"""

from forestall.core.promql.evidence import freshness_query
from forestall.core.promql.freshness import Freshness
from forestall.core.promql.indicators import (
    NOT_COMPARABLE,
    bad_by_threshold,
    check_histogram,
    classifying_labels,
    error_ratio_of_counters,
    error_ratio_of_histogram,
    error_ratio_of_query,
    error_ratio_of_threshold,
    evaluation_counts,
    evidence_of_counters,
    sample_counts,
    traffic_of_counter,
    traffic_of_histogram,
)
from forestall.core.promql.literals import quote
from forestall.core.promql.packing import MARKER, PreparedQuery, pack, prepare
from forestall.core.promql.selector_reads import LOOKBACK, SelectorRead
from forestall.core.promql.shape import is_total, result_labels
from forestall.core.promql.syntax import check_query, check_selector
from forestall.core.promql.tenancy import enforce_label

__all__ = [
    "LOOKBACK",
    "MARKER",
    "NOT_COMPARABLE",
    "Freshness",
    "PreparedQuery",
    "SelectorRead",
    "bad_by_threshold",
    "check_histogram",
    "check_query",
    "check_selector",
    "classifying_labels",
    "enforce_label",
    "error_ratio_of_counters",
    "error_ratio_of_histogram",
    "error_ratio_of_query",
    "error_ratio_of_threshold",
    "evaluation_counts",
    "evidence_of_counters",
    "freshness_query",
    "is_total",
    "pack",
    "prepare",
    "quote",
    "result_labels",
    "sample_counts",
    "traffic_of_counter",
    "traffic_of_histogram",
]
