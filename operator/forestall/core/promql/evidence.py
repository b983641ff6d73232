"""The questions that show whether the data behind a query can be believed, as PromQL.

They are asked in the same requests as the queries, and each of them once however many queries need it. All answers are
by `job`, the label that says where a series comes from. They are times (s), except where it says otherwise.
"""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Final

from forestall.core.promql import tree as ast
from forestall.core.promql.literals import quote
from forestall.core.promql.looks import LOOKBACK
from forestall.core.promql.syntax import metric_name, render_selector, selector

FACT: Final = "__forestall_fact"
"""The label that parts the answers of a freshness question: `NEWEST` or `MEMBERS`."""
NEWEST: Final = "newest"
MEMBERS: Final = "members"
"""How many targets have fresh series: as many as there are different `instance` and `pod`."""
MOST_JOBS: Final = 100

_SPECIAL: Final = re.compile(r"[.+*?()|\[\]{}^$\\]")
_STEP: Final = 240.0  # below the lookback, so that no sample falls between two looks
_GAP_STEP: Final = 30.0
_BEFORE_END: Final = 5.0
_HOUR: Final = 3600.0
_RARE: Final = 0.8 * LOOKBACK
_RECENTLY: Final = 10_800.0
_LOOKS: Final = 720
_TARGET_LABELS: Final = ("job", "instance", "namespace", "cluster", "pod", "container", "service", "endpoint", "node")
"""The labels by which a target is known, and which `up` has as well."""


def freshness_question(selector: str, stale_after: float = 120.0) -> str:
    """Return the question for the newest sample of a selector of `Freshness.selectors`, and for how many feed it."""
    newest = f"topk({MOST_JOBS}, max by (job) (timestamp({selector})))"
    members = f"count(count by (job, instance, pod) (timestamp({selector}) >= time() - {stale_after:g}))"
    parts = ((NEWEST, newest), (MEMBERS, members))
    return " or ".join(f'label_replace({text}, "{FACT}", "{name}", "", "")' for name, text in parts)


def recent_question(selector: str, seconds: float) -> str:
    """Return the question for the newest sample within so many seconds, where that is beyond the lookback."""
    return f"topk({MOST_JOBS}, max by (job) ({_looks(selector, seconds, _STEP)}))"


def faded_question(text: str, job: str, newest: float) -> str:
    """Return the question whether the series of a job, whose last sample was at `newest` (s), are between two samples.

    They are where their samples come about as far apart as the lookback, or farther, mostly or at times, and where
    nothing marks their end: Prometheus does where a scrape finds them no more, or the target is gone, and nothing sees
    them from then on.
    """
    there = render_selector(selector(text), matchers=job_matchers(frozenset((job,))))
    end = f"@ {newest + LOOKBACK - _BEFORE_END:.3f}"
    seen = f"count_over_time({there}[{_ms(_HOUR)}:{_ms(_GAP_STEP)}] {end}) * {_GAP_STEP:g}"
    apart = f"{seen} / count_over_time({there}[{_ms(_HOUR)}] {end})"
    gap = f"max_over_time((time() - timestamp({there}))[{_ms(_HOUR)}:{_ms(_GAP_STEP)}] @ {newest:.3f})"
    return f"group(({apart} >= {_RARE:g} or {gap} >= {_RARE:g}) and {there} {end})"


def ends_unseen(newest: float, at: float) -> bool:
    """Say whether `faded_question` can be asked at `at` (s): before, nothing but an end hides a sample."""
    return newest + LOOKBACK <= at


def gap_question(selector: str, seconds: float, apart: float) -> str:
    """Return the question whether samples mostly come more than `apart` seconds apart.

    It is asked of the last hour, or of the last `seconds` if these are more. What a sample is seen for, at the most,
    is the lookback: series whose samples are farther apart than that are seen for this long after each.
    """
    over = max(seconds, _HOUR)
    seen = f"count_over_time({selector}[{_ms(over + LOOKBACK)}:{_ms(_GAP_STEP)}])"
    factor = _GAP_STEP * over / (over + LOOKBACK)
    return f"max({seen} * {factor:.6g} / count_over_time({selector}[{_ms(over)}] offset {_ms(LOOKBACK)})) > {apart:g}"


def past_question(selector: str, window: float) -> str:
    """Return the question for when, about, a selector found anything within `window` seconds.

    A sample is not missed in the last hours; further back what was there for less than a 720th of the window may be.
    """
    far, near = (_looks(selector, seconds, step) for seconds, step in _far_and_near(window))
    return f"topk({MOST_JOBS}, max by (job) ({far} or {near}))"


def past_jobs_question(selector: str, window: float) -> str:
    """Return the question for the jobs of which a selector without a name found anything in the last hours; 1 each."""
    return f"topk({MOST_JOBS}, group by (job) (last_over_time({selector}[{_ms(min(window, _RECENTLY))}])))"


def names_question(selector: str, seconds: float) -> str:
    """Return the question for the names of the metrics that a selector met within so many seconds."""
    return f"group by (__name__) (last_over_time({selector}[{_ms(seconds)}]))"


def label_question(lacking: str, having: str, window: float) -> str:
    """Return the question for how much later (s) the first selector found anything than the second, within `window`.

    The answer is empty where it was not later, and where targets have series of both kinds: then the label is one
    that only some events have.
    """
    both = f"count({having} and on (job, instance, pod) {lacking})"
    # What a restarted target had before is seen beside the new for the lookback, where nothing marks its end.
    optional = " or ".join(
        f"count_over_time({both}[{_ms(seconds)}:{_ms(step)}]) > 2" for seconds, step in _far_and_near(window)
    )
    return f"({_first(lacking, window)} - {_first(having, window)} > 0) unless on () ({optional})"


def up_question(matchers: str) -> str:
    """Return the question for when the targets with these matchers were last scraped: 0 where one of them is down."""
    return f"min by (job) (up{{{matchers}}} * timestamp(up{{{matchers}}}))"


@lru_cache(maxsize=1 << 16)
def has_one_name(text: str) -> bool:
    """Say whether a selector names its metric; `timestamp()` can't be asked of several at once."""
    return metric_name(selector(text)) is not None


def with_name(text: str, name: str) -> str:
    """Return a selector without a name for one of the metrics that it meets."""
    tree = selector(text)
    others = (matcher for matcher in tree.matchers.matchers if matcher.name != "__name__")
    return render_selector(replace(tree, name=None, matchers=ast.Matchers((_named(name), *others))))


def is_up(text: str) -> bool:
    """Say whether a selector is about `up` itself."""
    return metric_name(selector(text)) == "up"


def target_matchers(text: str, scope: str = "") -> str:
    """Return the matchers of a selector that say which targets it is about, and `scope`, a matcher that must hold."""
    kept = [m for m in selector(text).matchers.matchers if m.name in _TARGET_LABELS]
    written = [f"{m.name}{m.op.value}{quote(m.value)}" for m in kept]
    return ",".join(dict.fromkeys((*written, *([scope] if scope else []))))


def job_matchers(jobs: frozenset[str], scope: str = "") -> str:
    """Return the matchers of the targets of some jobs."""
    names = "|".join(_SPECIAL.sub(r"\\\g<0>", job) for job in sorted(jobs))
    return ",".join((f"job=~{quote(names)}", *([scope] if scope else [])))


def _looks(selector: str, seconds: float, step: float) -> str:
    return f"max_over_time(timestamp({selector})[{_ms(seconds)}:{_ms(step)}])"


def _first(selector: str, window: float) -> str:
    far, near = (
        f"min_over_time(timestamp({selector})[{_ms(seconds)}:{_ms(step)}])" for seconds, step in _far_and_near(window)
    )
    now = f"timestamp({selector})"
    return f'min(min({far}) or label_replace(min({near} or {now}), "{FACT}", "near", "", ""))'


def _far_and_near(window: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return how far back (s) to look, and every how many seconds: over all the window, and over the last hours."""
    return (window, max(_STEP, window / _LOOKS)), (min(window, _RECENTLY), _STEP)


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _named(name: str) -> ast.Matcher:
    return ast.Matcher(ast.MatchOp.Equal, "__name__", name)
