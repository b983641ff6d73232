"""Service level indicators as PromQL: the error ratio over a window, from 0 (all good) to 1 (all bad).

Without events in the window there is no error ratio, and the expressions return no series: no traffic is neither good
nor bad, and missing data leads to no action.

While two versions of a workload run, numerator and denominator may not belong together: some processes lack the label
or the bucket that separates good from bad events. Such events can't be classified, and the ratio leaves them out; with
`strict` the ratio is `NOT_COMPARABLE` while there are any.
"""

import math
import re
from decimal import Decimal

from forestall.core.duration import parse_duration
from forestall.core.promql import syntax_tree as ast
from forestall.core.promql.literals import quote
from forestall.core.promql.syntax import (
    SCALAR,
    format_number,
    metric_name,
    query_tree,
    render,
    render_selector,
    selector,
    selectors,
    value_type,
    write_label,
)
from forestall.core.promql.vectors import to_instant_vector
from forestall.errors import InvalidQuery

MAX_EVALUATIONS = 10_000
"""The most evaluations of a threshold in a window: a month is evaluated every 260 s rather than every 30 s."""

NOT_COMPARABLE = -math.inf
"""The value of a strict ratio while there are events that can't be classified as good or bad."""

_BAD_WHEN = {"lt": ">=", "lte": ">", "gt": "<=", "gte": "<"}


_MOST_OF_TOTAL = 1.1
"""A part may exceed the total by this factor, since the two are scraped at different times."""


def error_ratio_of_counters(
    *, total: str, window: str, good: str | None = None, bad: str | None = None, strict: bool = False
) -> str:
    """Return the share of bad events, from the counters `total` and exactly one of `good` and `bad`.

    All are series selectors. A bad counter that does not exist counts as zero while there are events: many programs
    create it with the first error. With `strict` a good counter does too, provided that it existed before, which
    `evidence_of_counters` shows, and there is no ratio where a part exceeds the total.

    Raises:
        InvalidQuery: an argument is not a plain series selector.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    if (good is None) == (bad is None):
        raise InvalidQuery("give exactly one of `good` and `bad`")
    part = f"sum(rate({_range(bad or str(good), window)}))"
    if bad is not None:
        share = f"({part} or vector(0)) / (sum(rate({_range(total, window)})) > 0)"
        return f"clamp({_at_most_all(share)}, 0, 1)" if strict else f"clamp({share}, 0, 1)"
    label_names = _distinguishing_labels(selector(str(good)), selector(total))
    if not strict:
        labelled = render_selector(
            selector(total), matchers=",".join(f'{write_label(name)}!=""' for name in label_names), window=window
        )
        return f"clamp(1 - {part} / (sum(rate({labelled})) > 0), 0, 1)"
    unlabelled = [
        render_selector(selector(total), matchers=f'{write_label(name)}=""', window=window) for name in label_names
    ]
    share = _at_most_all(f"({part} or vector(0)) / (sum(rate({_range(total, window)})) > 0)")
    return f"clamp(1 - {share}, 0, 1)" + "".join(
        _not_comparable_if_any(f"sum(rate({unlabelled_series}))") for unlabelled_series in unlabelled
    )


def evidence_of_counters(
    *, total: str, window: str, good: str | None = None, bad: str | None = None
) -> tuple[str, str]:
    """Return an expression whose series must be fresh for the ratio of counters, and the selector that may be absent
    only if it existed before; empty: none.

    A part of `total` is scraped with it. Another metric may be scraped from other targets, and more rarely: the
    evidence reads it as the ratio does.

    Raises:
        InvalidQuery: an argument is not a plain series selector.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    all_events, part = selector(total), selector(str(bad or good))
    evidence = render_selector(all_events)
    if not _is_part(part, all_events):
        evidence = f"{evidence} and (rate({render_selector(part, window=window)}) or vector(0))"
    return evidence, render_selector(part) if good is not None else ""


def classifying_labels(*, total: str, good: str | None = None, bad: str | None = None) -> tuple[tuple[str, str], ...]:
    """Return, for each label whose absence would make events good or bad, the selectors of series without and with it.

    A strict ratio detects by itself that series lack a label that good events have.

    Raises:
        InvalidQuery: an argument is not a plain series selector.
    """
    all_events, part = selector(total), selector(str(bad or good))
    if metric_name(all_events) is None:
        return ()
    names = _own_labels(part, all_events) if good is None else _own_labels(part, all_events, matches_absent=True)
    required_absent = {
        matcher.name for matcher in part.matchers.matchers if not matcher.value
    }  # as in x="": that lack it
    return tuple(
        (
            render_selector(all_events, matchers=f'{write_label(name)}=""'),
            render_selector(all_events, matchers=f'{write_label(name)}!=""'),
        )
        for name in names
        if name not in required_absent
    )


def error_ratio_of_histogram(
    histogram: str, threshold: float, *, native: bool, window: str, strict: bool = False
) -> str:
    """Return the share of observations above `threshold`, which is in the unit of the histogram.

    `histogram` is a series selector with the name of the histogram, without the suffix ``_bucket``. The threshold
    should be a bucket's bound: where a classic histogram has no such bucket, the expression returns no series. Series
    without that bucket, while others have it, are events that can't be classified.

    Raises:
        InvalidQuery: `histogram` is not a plain series selector, or does not name the histogram.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    tree = selector(histogram)
    if native:
        share = (
            f"histogram_fraction(-Inf, {format_number(threshold)}, sum(rate({render_selector(tree, window=window)})))"
        )
        return f"clamp(1 - ({share} >= 0), 0, 1)"  # no observations: NaN, which the comparison drops
    name = _histogram_name(tree)
    bound = f"le=~{quote('|'.join(_spellings(threshold)))}"
    below = f"rate({render_selector(tree, name=f'{name}_bucket', matchers=bound, window=window)})"
    count = f"rate({render_selector(tree, name=f'{name}_count', window=window)})"
    if not strict:
        return f"clamp(1 - sum({below}) / (sum({count} and ignoring (le) {below}) > 0), 0, 1)"
    # Two spellings of one bound make two series, and at the change each lacks the events that the other counts.
    indistinct = f"sum({count} unless (count without (le) ({below}) == 1))"
    return f"clamp(1 - sum({below}) / (sum({count}) > 0), 0, 1)" + _not_comparable_if_any(indistinct)


def check_histogram(text: str) -> None:
    """Check that `text` is a plain series selector that names a classic histogram without suffix and `le`.

    Raises:
        InvalidQuery: it is not; the message says what to write.
    """
    _histogram_name(selector(text))


def traffic_of_counter(total: str, *, window: str) -> str:
    """Return the rate (events per second) of the counter `total`, a series selector.

    Raises:
        InvalidQuery: it is not a plain series selector.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    return f"sum(rate({_range(total, window)}))"


def traffic_of_histogram(histogram: str, *, native: bool, window: str) -> str:
    """Return the rate (observations per second) of a histogram, which is written as for its error ratio.

    Raises:
        InvalidQuery: `histogram` is not a plain series selector, or does not name the histogram.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    tree = selector(histogram)
    if native:
        return f"histogram_count(sum(rate({render_selector(tree, window=window)})))"
    return f"sum(rate({render_selector(tree, name=f'{_histogram_name(tree)}_count', window=window)}))"


def error_ratio_of_threshold(query: str, operator: str, value: float, *, window: str, resolution: str) -> str:
    """Return the share of time that `query` was on the bad side of `value`, evaluated every `resolution`.

    `operator` (lt, lte, gt, gte) defines the good side. Times without a value, or with NaN, do not count.

    Raises:
        InvalidQuery: `query` is not a query for numbers.
        InvalidDuration: `window` or `resolution` is not a duration.
    """
    step = max(parse_duration(resolution), math.ceil(parse_duration(window) / MAX_EVALUATIONS))
    return f"avg_over_time(({bad_by_threshold(query, operator, value)})[{window}:{math.ceil(step * 1000)}ms])"


def bad_by_threshold(query: str, operator: str, value: float) -> str:
    """Return an expression: 1 where `query` is on the bad side of `value`, 0 where not, empty where it has no number.

    Raises:
        InvalidQuery: `query` is not a query for numbers.
    """
    tree = query_tree(query)
    text = to_instant_vector(tree)
    values = text if value_type(tree) == SCALAR else f"({text})"
    return f"({values} <= Inf) {_BAD_WHEN[operator]} bool {format_number(value)}"  # all but NaN is <= Inf


def evaluation_counts(bad: str, *, length: float, resolution: float) -> tuple[str, str]:
    """Return expressions for the bad evaluations in the last `length` seconds, and for all, `resolution` s apart.

    `bad` is an expression of `bad_by_threshold`. Several series are summed: a label that changes with each release does
    not begin another window.
    """
    over = f"({bad})[{round(length * 1000)}ms:{round(resolution * 1000)}ms]"
    return f"sum(sum_over_time({over}))", f"sum(count_over_time({over}))"


def sample_counts(query: str, *, window: str) -> tuple[str, ...]:
    """Return, for each series selector of `query`, the expression for the samples of its densest series in `window`.

    Raises:
        InvalidQuery: `query` is not a query for numbers.
    """
    texts = dict.fromkeys(render_selector(node, window=window) for node in selectors(query_tree(query)))
    return tuple(f"max(count_over_time({text}))" for text in texts)


def error_ratio_of_query(query: str, *, window: str) -> str:
    """Return the author's error ratio `query` with ``$window`` filled in.

    Raises:
        InvalidQuery: `query` is not a query for numbers.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    return render(query_tree(query.replace("$window", window)))


def _at_most_all(share: str) -> str:
    """Return `share`, empty where it exceeds 1 by more than the times of scrapes explain."""
    return f"({share} <= {_MOST_OF_TOTAL})"


def _not_comparable_if_any(events: str) -> str:
    """Return a term for a ratio: 0, or -Inf where there are `events` that can't be classified."""
    return f" + (1 - 1 / (({events} or vector(0)) == bool 0))"


def _distinguishing_labels(part: ast.VectorSelector, all_events: ast.VectorSelector) -> list[str]:
    """Return the labels that separate the events of `part` from others: a series without them can't be classified."""
    return _own_labels(part, all_events, matches_absent=False)


def _own_labels(
    part: ast.VectorSelector, all_events: ast.VectorSelector, *, matches_absent: bool | None = None
) -> list[str]:
    """Return the labels with a matcher in `part` and none in `all_events`, of one metric. `matches_absent` selects
    matchers that match, or do not match, series without the label; None: all."""
    if metric_name(part) != metric_name(all_events):
        return []
    common = {matcher.name for matcher in all_events.matchers.matchers}
    own = [m for m in part.matchers.matchers if m.name not in common and m.name != "__name__"]
    return list(dict.fromkeys(m.name for m in own if matches_absent in (None, _matches_absent(m))))


def _matches_absent(matcher: ast.Matcher) -> bool:
    """Return whether a matcher matches series without the label."""
    if matcher.op == ast.MatchOp.Equal:
        return not matcher.value
    if matcher.op == ast.MatchOp.NotEqual:
        return bool(matcher.value)
    try:
        empty = re.fullmatch(matcher.value, "") is not None
    except re.error:  # valid RE2 that Python does not accept: it matches non-empty values
        empty = False
    return empty if matcher.op == ast.MatchOp.Re else not empty


def _is_part(part: ast.VectorSelector, all_events: ast.VectorSelector) -> bool:
    """Return whether all series of `part` are series of `all_events`."""
    narrower = set(part.matchers.matchers)
    return metric_name(part) == metric_name(all_events) is not None and narrower.issuperset(
        all_events.matchers.matchers
    )


def _range(text: str, window: str) -> str:
    return render_selector(selector(text), window=window)


def _histogram_name(tree: ast.VectorSelector) -> str:
    name = metric_name(tree)
    if name is None:
        raise InvalidQuery('name the histogram, as in http_request_duration_seconds{app="shop"}')
    if name.endswith(("_bucket", "_count", "_sum")):
        raise InvalidQuery(f"give the histogram's name without its suffix: {name.rpartition('_')[0]}")
    if any(matcher.name == "le" for matcher in tree.matchers.matchers):
        raise InvalidQuery("leave `le` out: it follows from the threshold")
    return name


def _spellings(bound: float) -> list[str]:
    """Return the spellings of a bucket's bound in the label `le`: clients and versions differ (1, 1.0, 1e+06)."""
    digits = Decimal(f"{bound:.12g}").normalize()  # fewer digits than a float has: 0.57 s is 570 ms
    plain = f"{digits:f}"
    padded = plain if "." in plain else f"{plain}."
    spellings = [plain, f"{padded}0", f"{padded}00", f"{padded}000"]
    mantissa, exponent = f"{digits:e}".split("e")
    power = int(exponent)
    longer = mantissa if "." in mantissa else f"{mantissa}.0"
    for factor in (mantissa, longer):
        for word in ("e", "E"):
            spellings += [f"{factor}{word}{power}", f"{factor}{word}{power:+03d}"]
    return [spelling.replace(".", r"\.").replace("+", r"\+") for spelling in dict.fromkeys(spellings)]
