"""Service level indicators as PromQL: the error ratio over a window, from 0 (all good) to 1 (all bad).

Where nothing happened in the window there is no error ratio, and the expressions give no series: no traffic is neither
good nor bad, and missing data leads to no action.
"""

import math
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
    value_type,
)
from forestall.errors import InvalidQuery

MOST_STEPS = 10_000
"""How often a threshold is looked at in a window: a month is looked at every 260 s rather than every 30 s."""

_BAD_WHEN = {"lt": ">=", "lte": ">", "gt": "<=", "gte": "<"}


def error_ratio_of_counters(*, total: str, window: str, good: str | None = None, bad: str | None = None) -> str:
    """Return the bad share of events that are counted by counters: exactly one of `good` and `bad`, and `total`.

    All are series selectors. A bad counter that does not exist counts as zero, as long as there are events: many
    programs create it with the first error. A good counter that does not exist gives no series.

    Raises:
        InvalidQuery: one of them is not a plain series selector.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    events = f"(sum(rate({_range(total, window)})) > 0)"
    if (good is None) == (bad is None):
        raise InvalidQuery("give exactly one of `good` and `bad`")
    if bad is not None:
        return f"clamp((sum(rate({_range(bad, window)})) or vector(0)) / {events}, 0, 1)"
    return f"clamp(1 - sum(rate({_range(str(good), window)})) / {events}, 0, 1)"


def error_ratio_of_histogram(histogram: str, threshold: float, *, native: bool, window: str) -> str:
    """Return the share of observations above `threshold`, which is in the unit of the histogram.

    `histogram` is a series selector with the name of the histogram, without the suffix ``_bucket``. The threshold
    should be a bucket's bound: where a classic histogram has no such bucket, the expression gives no series.

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
    below = render_selector(tree, name=f"{name}_bucket", matchers=bound, window=window)
    count = render_selector(tree, name=f"{name}_count", window=window)
    return f"clamp(1 - sum(rate({below})) / (sum(rate({count})) > 0), 0, 1)"


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
    tree = query_tree(query)
    text = render(tree)
    values = f"vector({text})" if value_type(tree) == SCALAR else f"({text})"
    step = max(parse_duration(resolution), math.ceil(parse_duration(window) / MOST_STEPS))
    return (
        f"avg_over_time((({values} <= Inf) {_BAD_WHEN[operator]} bool {number(value)})"  # all but NaN is <= Inf
        f"[{window}:{math.ceil(step * 1000)}ms])"
    )


def error_ratio_of_query(query: str, *, window: str) -> str:
    """Return `query`, an error ratio that is computed elsewhere, with ``$window`` filled in.

    Raises:
        InvalidQuery: `query` is not a query for numbers.
        InvalidDuration: `window` is not a duration.
    """
    parse_duration(window)
    return render(query_tree(query.replace("$window", window)))


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
