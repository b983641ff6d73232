"""Evidence queries: PromQL that shows whether the data behind another query is fresh and complete.

They are sent in the same requests as the queries, each once however many queries need it. All results are by `job`.
They are times (s), except where noted.
"""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Final

from forestall.core.promql import syntax_tree as ast
from forestall.core.promql.literals import quote
from forestall.core.promql.selector_reads import LOOKBACK
from forestall.core.promql.syntax import metric_name, render_selector, selector

FACT: Final = "__forestall_fact"
"""The label that separates the results of a freshness query: `NEWEST` or `TARGETS`."""
NEWEST: Final = "newest"
TARGETS: Final = "members"
"""How many targets have fresh series: the number of different pairs of `instance` and `pod`."""
MAX_JOBS: Final = 100

_SPECIAL: Final = re.compile(r"[.+*?()|\[\]{}^$\\]")
_STEP: Final = 240.0  # below the lookback, so that no sample falls between two evaluations
_GAP_STEP: Final = 30.0
_BEFORE_END: Final = 5.0
_HOUR: Final = 3600.0
_RARE: Final = 0.8 * LOOKBACK
_RECENTLY: Final = 10_800.0
_LOOKS: Final = 720
_TARGET_LABELS: Final = ("job", "instance", "namespace", "cluster", "pod", "container", "service", "endpoint", "node")
"""The labels that identify a target, which `up` has as well."""


def freshness_query(selector: str, stale_after: float = 120.0) -> str:
    """Return the query for the newest sample of a selector of `Freshness.selectors`, and for its number of targets."""
    newest = f"topk({MAX_JOBS}, max by (job) (timestamp({selector})))"
    members = f"count(count by (job, instance, pod) (timestamp({selector}) >= time() - {stale_after:g}))"
    parts = ((NEWEST, newest), (TARGETS, members))
    return " or ".join(f'label_replace({text}, "{FACT}", "{name}", "", "")' for name, text in parts)


def recent_query(selector: str, seconds: float) -> str:
    """Return the query for the newest sample within `seconds`, where that is longer than the lookback."""
    return f"topk({MAX_JOBS}, max by (job) ({_newest_in_steps(selector, seconds, _STEP)}))"


def sparse_samples_query(text: str, job: str, newest: float) -> str:
    """Return the query whether the series of a job, whose last sample was at `newest` (s), are between two samples.

    They are where the interval of their samples is, mostly or at times, about the lookback or longer, and where they
    have no staleness marker: Prometheus writes one where a scrape no longer has the series, or the target is gone.
    """
    series = render_selector(selector(text), matchers=job_matchers(frozenset((job,))))
    at_fade = f"@ {newest + LOOKBACK - _BEFORE_END:.3f}"
    visible = f"count_over_time({series}[{_ms(_HOUR)}:{_ms(_GAP_STEP)}] {at_fade}) * {_GAP_STEP:g}"
    interval = f"{visible} / count_over_time({series}[{_ms(_HOUR)}] {at_fade})"
    gap = f"max_over_time((time() - timestamp({series}))[{_ms(_HOUR)}:{_ms(_GAP_STEP)}] @ {newest:.3f})"
    return f"group(({interval} >= {_RARE:g} or {gap} >= {_RARE:g}) and {series} {at_fade})"


def is_past_lookback(newest: float, at: float) -> bool:
    """Return whether `sparse_samples_query` is meaningful at `at` (s).

    Within the lookback only a staleness marker hides a sample.
    """
    return newest + LOOKBACK <= at


def sample_interval_query(selector: str, seconds: float, interval: float) -> str:
    """Return the query whether the usual interval of samples is longer than `interval` seconds.

    It covers the last hour, or the last `seconds` if these are more. A sample is visible for the lookback at most, so
    series with longer intervals are visible for that long after each sample.
    """
    span = max(seconds, _HOUR)
    visible = f"count_over_time({selector}[{_ms(span + LOOKBACK)}:{_ms(_GAP_STEP)}])"
    factor = _GAP_STEP * span / (span + LOOKBACK)
    samples = f"count_over_time({selector}[{_ms(span)}] offset {_ms(LOOKBACK)})"
    return f"max({visible} * {factor:.6g} / {samples}) > {interval:g}"


def past_samples_query(selector: str, window: float) -> str:
    """Return the query for when, approximately, a selector last had samples within `window` seconds.

    It misses no sample of the last hours; further back it may miss series that lasted less than a 720th of the window.
    """
    coarse, fine = (_newest_in_steps(selector, seconds, step) for seconds, step in _coarse_and_fine(window))
    return f"topk({MAX_JOBS}, max by (job) ({coarse} or {fine}))"


def past_jobs_query(selector: str, window: float) -> str:
    """Return the query for the jobs with samples of a selector without a metric name in the last hours; 1 for each."""
    return f"topk({MAX_JOBS}, group by (job) (last_over_time({selector}[{_ms(min(window, _RECENTLY))}])))"


def metric_names_query(selector: str, seconds: float) -> str:
    """Return the query for the names of the metrics that a selector matched within `seconds`."""
    return f"group by (__name__) (last_over_time({selector}[{_ms(seconds)}]))"


def label_introduction_query(without_label: str, with_label: str, window: float) -> str:
    """Return the query for how much later (s) the first selector had its first sample than the second, in `window`.

    The result is empty where it was not later, and where targets have series of both kinds: then only some events have
    the label.
    """
    in_both = f"count({with_label} and on (job, instance, pod) {without_label})"
    # Without staleness markers, the old series of a restarted target are visible beside the new ones for the lookback.
    optional = " or ".join(
        f"count_over_time({in_both}[{_ms(seconds)}:{_ms(step)}]) > 2" for seconds, step in _coarse_and_fine(window)
    )
    return f"({_first_seen(without_label, window)} - {_first_seen(with_label, window)} > 0) unless on () ({optional})"


def up_query(matchers: str) -> str:
    """Return the query for when the targets with these matchers were last scraped: 0 where one of them is down."""
    return f"min by (job) (up{{{matchers}}} * timestamp(up{{{matchers}}}))"


@lru_cache(maxsize=1 << 16)
def has_metric_name(text: str) -> bool:
    """Return whether a selector names its metric; `timestamp()` can't be used on several metrics at once."""
    return metric_name(selector(text)) is not None


def with_metric_name(text: str, name: str) -> str:
    """Return a selector without a metric name, narrowed to the metric `name`."""
    tree = selector(text)
    matchers = (matcher for matcher in tree.matchers.matchers if matcher.name != "__name__")
    return render_selector(replace(tree, name=None, matchers=ast.Matchers((_named(name), *matchers))))


def is_up(text: str) -> bool:
    """Return whether the metric of a selector is `up`."""
    return metric_name(selector(text)) == "up"


def target_matchers(text: str, scope: str = "") -> str:
    """Return the matchers of a selector on labels of targets, and `scope`, a matcher that is added."""
    target_matchers_of = [m for m in selector(text).matchers.matchers if m.name in _TARGET_LABELS]
    written = [f"{m.name}{m.op.value}{quote(m.value)}" for m in target_matchers_of]
    return ",".join(dict.fromkeys((*written, *([scope] if scope else []))))


def job_matchers(jobs: frozenset[str], scope: str = "") -> str:
    """Return the matchers for the targets of `jobs`, and `scope`, a matcher that is added."""
    names = "|".join(_SPECIAL.sub(r"\\\g<0>", job) for job in sorted(jobs))
    return ",".join((f"job=~{quote(names)}", *([scope] if scope else [])))


def _newest_in_steps(selector: str, seconds: float, step: float) -> str:
    return f"max_over_time(timestamp({selector})[{_ms(seconds)}:{_ms(step)}])"


def _first_seen(selector: str, window: float) -> str:
    coarse, fine = (
        f"min_over_time(timestamp({selector})[{_ms(seconds)}:{_ms(step)}])"
        for seconds, step in _coarse_and_fine(window)
    )
    now = f"timestamp({selector})"
    return f'min(min({coarse}) or label_replace(min({fine} or {now}), "{FACT}", "near", "", ""))'


def _coarse_and_fine(window: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return ranges and steps (s) of two subqueries: a coarse one over the window, a fine one over the last hours."""
    return (window, max(_STEP, window / _LOOKS)), (min(window, _RECENTLY), _STEP)


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _named(name: str) -> ast.Matcher:
    return ast.Matcher(ast.MatchOp.Equal, "__name__", name)
