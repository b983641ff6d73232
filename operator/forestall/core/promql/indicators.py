"""Service level indicators as PromQL: the error ratio over a window, from 0 (all good) to 1 (all bad).

Where nothing happened in the window there is no error ratio, and the expressions give no series: no traffic is neither
good nor bad, and missing data leads to no action.

While versions mix, a ratio can be of numerators and denominators that do not belong together: some processes lack the
label or the bucket that tells good from bad. Events that can't be told are left out of the ratio; with `strict` there
is no ratio while there are any: it is `NOT_COMPARABLE`.
"""

import math
import re
from decimal import Decimal

from forestall.core.duration import parse_duration
from forestall.core.promql import tree as ast
from forestall.core.promql.literals import quote
from forestall.core.promql.syntax import (
    SCALAR,
    metric_name,
    number,
    query_tree,
    render,
    render_selector,
    selector,
    selectors,
    value_type,
    write_label,
)
from forestall.core.promql.vectors import vector_of
from forestall.errors import InvalidQuery

MOST_STEPS = 10_000
"""How often a threshold is looked at in a window: a month is looked at every 260 s rather than every 30 s."""

NOT_COMPARABLE = -math.inf
"""What a strict ratio is while there are events that can't be told good or bad."""

_BAD_WHEN = {"lt": ">=", "lte": ">", "gt": "<=", "gte": "<"}


_MOST_OF_TOTAL = 1.1
"""A part may be counted as more than all by no more than this, which is what different moments of scrapes make."""


def error_ratio_of_counters(
    *, total: str, window: str, good: str | None = None, bad: str | None = None, strict: bool = False
) -> str:
    """Return the bad share of events that are counted by counters: exactly one of `good` and `bad`, and `total`.

    All are series selectors. A bad counter that does not exist counts as zero, as long as there are events: many
    programs create it with the first error. So does a good one with `strict`, provided that it existed before, which
    is another question: `evidence_of_counters`. With `strict` there is no ratio either where a part exceeds the total.

    Raises:
        InvalidQuery: one of them is not a plain series selector.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    if (good is None) == (bad is None):
        raise InvalidQuery("give exactly one of `good` and `bad`")
    part = f"sum(rate({_range(bad or str(good), window)}))"
    if bad is not None:
        share = f"({part} or vector(0)) / (sum(rate({_range(total, window)})) > 0)"
        return f"clamp({_comparable(share)}, 0, 1)" if strict else f"clamp({share}, 0, 1)"
    telling = _telling_labels(selector(str(good)), selector(total))
    if not strict:
        told = render_selector(
            selector(total), matchers=",".join(f'{write_label(name)}!=""' for name in telling), window=window
        )
        return f"clamp(1 - {part} / (sum(rate({told})) > 0), 0, 1)"
    untold = [render_selector(selector(total), matchers=f'{write_label(name)}=""', window=window) for name in telling]
    share = _comparable(f"({part} or vector(0)) / (sum(rate({_range(total, window)})) > 0)")
    return f"clamp(1 - {share}, 0, 1)" + "".join(_unless_any(f"sum(rate({each}))") for each in untold)


def evidence_of_counters(
    *, total: str, window: str, good: str | None = None, bad: str | None = None
) -> tuple[str, str]:
    """Return an expression whose series must be fresh for the ratio of counters, and the selector that may be absent
    only if it existed before; empty: none.

    A part of `total` is scraped with it. What is counted under another name may be scraped from elsewhere, and more
    rarely: it must be seen as the ratio sees it.

    Raises:
        InvalidQuery: one of them is not a plain series selector.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    whole, part = selector(total), selector(str(bad or good))
    evidence = render_selector(whole)
    if not _is_part(part, whole):
        evidence = f"{evidence} and (rate({render_selector(part, window=window)}) or vector(0))"
    return evidence, render_selector(part) if good is not None else ""


def labels_of_counters(*, total: str, good: str | None = None, bad: str | None = None) -> tuple[tuple[str, str], ...]:
    """Return, for each label whose lack would make events good or bad, the selectors of the series without and with it.

    A strict ratio sees by itself that series lack a label that good events have.

    Raises:
        InvalidQuery: one of them is not a plain series selector.
    """
    whole, part = selector(total), selector(str(bad or good))
    if metric_name(whole) is None:
        return ()
    names = _own_labels(part, whole) if good is None else _own_labels(part, whole, takes_nothing=True)
    meant = {matcher.name for matcher in part.matchers.matchers if not matcher.value}  # as in x="": that lack it
    return tuple(
        (
            render_selector(whole, matchers=f'{write_label(name)}=""'),
            render_selector(whole, matchers=f'{write_label(name)}!=""'),
        )
        for name in names
        if name not in meant
    )


def error_ratio_of_histogram(
    histogram: str, threshold: float, *, native: bool, window: str, strict: bool = False
) -> str:
    """Return the share of observations above `threshold`, which is in the unit of the histogram.

    `histogram` is a series selector with the name of the histogram, without the suffix ``_bucket``. The threshold
    should be a bucket's bound: where a classic histogram has no such bucket, the expression gives no series. Series
    that have no such bucket while others have it are events that can't be told.

    Raises:
        InvalidQuery: `histogram` is not a plain series selector, or does not name the histogram.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    tree = selector(histogram)
    if native:
        share = f"histogram_fraction(-Inf, {number(threshold)}, sum(rate({render_selector(tree, window=window)})))"
        return f"clamp(1 - ({share} >= 0), 0, 1)"  # no observations: NaN, which the comparison drops
    name = _histogram_name(tree)
    bound = f"le=~{quote('|'.join(_spellings(threshold)))}"
    below = f"rate({render_selector(tree, name=f'{name}_bucket', matchers=bound, window=window)})"
    count = f"rate({render_selector(tree, name=f'{name}_count', window=window)})"
    if not strict:
        return f"clamp(1 - sum({below}) / (sum({count} and ignoring (le) {below}) > 0), 0, 1)"
    # Two spellings of one bound make two series of which each lacks what the other counts at the change.
    untold = f"sum({count} unless (count without (le) ({below}) == 1))"
    return f"clamp(1 - sum({below}) / (sum({count}) > 0), 0, 1)" + _unless_any(untold)


def check_histogram(text: str) -> None:
    """Check that `text` is a plain series selector that names a classic histogram as its indicator needs it.

    Raises:
        InvalidQuery: it is not, with what to write.
    """
    _histogram_name(selector(text))


def traffic_of_counter(total: str, *, window: str) -> str:
    """Return the events a second that the counter `total`, a series selector, counts.

    Raises:
        InvalidQuery: it is not a plain series selector.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    return f"sum(rate({_range(total, window)}))"


def traffic_of_histogram(histogram: str, *, native: bool, window: str) -> str:
    """Return the observations a second of a histogram, written as for its error ratio.

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
    """Return the share of time that `query` was on the bad side of `value`, looked at every `resolution`.

    `operator` (lt, lte, gt, gte) says what is good. Times without a value, or with NaN, do not count.

    Raises:
        InvalidQuery: `query` is not a query for numbers.
        InvalidDuration: `window` or `resolution` is not a duration.
    """
    step = max(parse_duration(resolution), math.ceil(parse_duration(window) / MOST_STEPS))
    return f"avg_over_time(({bad_by_threshold(query, operator, value)})[{window}:{math.ceil(step * 1000)}ms])"


def bad_by_threshold(query: str, operator: str, value: float) -> str:
    """Return what is 1 where `query` is on the bad side of `value`, 0 where not, and nothing where it has no number.

    Raises:
        InvalidQuery: `query` is not a query for numbers.
    """
    tree = query_tree(query)
    text = vector_of(tree)
    values = text if value_type(tree) == SCALAR else f"({text})"
    return f"({values} <= Inf) {_BAD_WHEN[operator]} bool {number(value)}"  # all but NaN is <= Inf


def moments(bad: str, *, length: float, resolution: float) -> tuple[str, str]:
    """Return how many moments of the last `length` seconds were bad, and how many there were, `resolution` s apart.

    `bad` is as `bad_by_threshold` returns it. Several series count together: a label that changes with each release
    does not begin another window.
    """
    over = f"({bad})[{round(length * 1000)}ms:{round(resolution * 1000)}ms]"
    return f"sum(sum_over_time({over}))", f"sum(count_over_time({over}))"


def samples_behind(query: str, *, window: str) -> tuple[str, ...]:
    """Return, for each series selector of `query`, how many samples its densest series has in `window`.

    Raises:
        InvalidQuery: `query` is not a query for numbers.
    """
    texts = dict.fromkeys(render_selector(each, window=window) for each in selectors(query_tree(query)))
    return tuple(f"max(count_over_time({text}))" for text in texts)


def error_ratio_of_query(query: str, *, window: str) -> str:
    """Return `query`, an error ratio that is computed elsewhere, with ``$window`` filled in.

    Raises:
        InvalidQuery: `query` is not a query for numbers.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    return render(query_tree(query.replace("$window", window)))


def _comparable(share: str) -> str:
    """Return `share`, or nothing where it is more than all by more than scrapes explain."""
    return f"({share} <= {_MOST_OF_TOTAL})"


def _unless_any(events: str) -> str:
    """Return what is added to a ratio: nothing, and -Inf where there are `events` that can't be told."""
    return f" + (1 - 1 / (({events} or vector(0)) == bool 0))"


def _telling_labels(part: ast.VectorSelector, whole: ast.VectorSelector) -> list[str]:
    """Return the labels that tell the events of `part` from others of `whole`: a series without them tells nothing."""
    return _own_labels(part, whole, takes_nothing=False)


def _own_labels(part: ast.VectorSelector, whole: ast.VectorSelector, *, takes_nothing: bool | None = None) -> list[str]:
    """Return the labels that `part` asks for and `whole` does not, of one metric; those with a matcher that takes, or
    does not take, series without the label, or with any matcher (None)."""
    if metric_name(part) != metric_name(whole):
        return []
    common = {matcher.name for matcher in whole.matchers.matchers}
    own = [m for m in part.matchers.matchers if m.name not in common and m.name != "__name__"]
    return list(dict.fromkeys(m.name for m in own if takes_nothing in (None, _matches_nothing(m))))


def _matches_nothing(matcher: ast.Matcher) -> bool:
    """Say whether a matcher holds for series without the label."""
    if matcher.op == ast.MatchOp.Equal:
        return not matcher.value
    if matcher.op == ast.MatchOp.NotEqual:
        return bool(matcher.value)
    try:
        empty = re.fullmatch(matcher.value, "") is not None
    except re.error:  # valid for the source, and of a kind that matches something
        empty = False
    return empty if matcher.op == ast.MatchOp.Re else not empty


def _is_part(part: ast.VectorSelector, whole: ast.VectorSelector) -> bool:
    """Say whether every series of `part` is one of `whole`."""
    narrower = set(part.matchers.matchers)
    return metric_name(part) == metric_name(whole) is not None and narrower.issuperset(whole.matchers.matchers)


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
    """Return how a bucket's bound may be written in the label `le`: clients and versions differ (1, 1.0, 1e+06)."""
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
    return [each.replace(".", r"\.").replace("+", r"\+") for each in dict.fromkeys(spellings)]
