"""Judges whether the result of a query is based on complete and fresh data, and which further queries that takes.

Series that exist show their age. Where a query gives absent series a value (`or vector(0)`, `absent()`, a counter that
no process has counted yet), the absence counts only if the targets that would export the series are scraped:

- the series existed within the window: each job that exported it last is fresh in another selector of the query, or all
of the job's targets are `up`;
- the series never existed: another selector of the query is fresh, or all targets are `up` that its matchers allow.

A series with samples that the query does not see, because they are too sparse or too late for its range or lookback, is
not absent: then the result is not used.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from forestall.adapters.prometheus.document import labels_of, malformed, value_of
from forestall.adapters.prometheus.errors import failure
from forestall.adapters.prometheus.past_answers import PastQuestion
from forestall.adapters.prometheus.question import Outcome, Question
from forestall.core.promql import LOOKBACK, Freshness, SelectorRead, evidence
from forestall.errors import MetricsError
from forestall.ports import FreshnessRequirements, QueryFailure

_FEW = evidence.MAX_JOBS + 1
_MOST_NAMES = 50
_MOST_TARGETS = 1000
_SHOWN = 500
_SAME_TIME = 3600.0
"""Jobs whose last sample is within this time (s) of the newest one count as the origin of a series."""

_RARELY = 1800.0
"""A series with a sample within this time (s), and without a staleness marker, still exists: it is scraped rarely, or
its samples arrive late.
"""

T = TypeVar("T")

MALFORMED = failure(malformed())


@dataclass(frozen=True, slots=True)
class DataVerdict:
    """The verdict on the data behind a query."""

    newest: float | None
    """See `Answer.newest`."""
    lacking: str = ""
    members: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _SelectorFacts:
    """The series that one selector finds."""

    newest: float | None = None
    current: bool = False
    """Whether the newest sample is within the lookback, so that a query sees it."""
    jobs: frozenset[str] = frozenset()
    """The jobs that export it with fresh samples."""
    members: int = 0
    visible: frozenset[str] = frozenset()
    """The jobs of all series that a query sees, of any age."""


class QuestionsNeeded(Exception):
    """Raised when further queries are needed for the verdict."""

    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__(*(question.text for question in questions))
        self.questions = questions


class _Unseen(Exception):
    """Raised when a query does not see series that exist; the text is for people."""


class _Failed(Exception):
    """Raised when one of the further queries failed."""

    def __init__(self, failure: QueryFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def questions_needed_by(
    cases: Iterable[tuple[Freshness, FreshnessRequirements, str]], outcomes: Mapping[str, Outcome], at: float
) -> dict[str, Question]:
    """Return the further queries that are needed to judge all `cases`, by their expression, with the owners of each
    case.
    """
    judge, wanted = AbsenceJudge(outcomes, at), dict[str, Question]()
    for freshness, requirements, owner in cases:
        try:
            judge.verdict(freshness, requirements)
        except QuestionsNeeded as want:
            for question in want.questions:
                before = wanted[question.text].owners if question.text in wanted else ()
                owners = before if not owner or owner in before else (*before, owner)
                wanted[question.text] = replace(question, owners=owners, counts=False)
    return wanted


class AbsenceJudge:
    """Judges queries from the outcomes so far; `at` (s) is the time of the queries."""

    def __init__(self, outcomes: Mapping[str, Outcome], at: float) -> None:
        self._outcomes = outcomes
        self._at = at
        self._facts: dict[tuple[str, float], _SelectorFacts] = {}
        self.present: set[str] = set()
        """The selectors that are known to match series."""

    def final(self, freshness: Freshness, requirements: FreshnessRequirements) -> DataVerdict | QueryFailure:
        """Return the verdict from the outcomes so far, without further queries."""
        try:
            return self.verdict(freshness, requirements)
        except QuestionsNeeded as want:
            return DataVerdict(
                None, f"too much had to be asked to tell whether the data are fresh, such as {want}"[:_SHOWN]
            )

    def verdict(self, freshness: Freshness, requirements: FreshnessRequirements) -> DataVerdict | QueryFailure:
        """Return the verdict, or the failure of a query that it needs.

        Raises:
            Wanted: questions must be asked first.
        """
        selectors = freshness.selectors | ({requirements.past_selector} if requirements.past_selector else set())
        unlabelled = {lacking for lacking, _ in requirements.label_pairs}
        queried = sorted(selectors | unlabelled)
        try:
            facts = _all(partial(self._facts_of, selector, requirements.stale_after) for selector in queried)
        except _Failed as failed:
            return failed.failure
        facts_by_selector = dict(zip(queried, facts, strict=True))
        try:
            if (lost := self._lost_label(requirements, facts_by_selector)) is not None:
                return lost
            return self._verdict(
                freshness, requirements, {s: selector for s, selector in facts_by_selector.items() if s in selectors}
            )
        except _Unseen as unseen:
            return DataVerdict(None, str(unseen))
        except _Failed as failed:
            return DataVerdict(None, f"it can't be told whether what is not there is zero: {failed.failure.message}")

    def _lost_label(
        self, requirements: FreshnessRequirements, facts: Mapping[str, _SelectorFacts]
    ) -> QueryFailure | None:
        """Return which events can't be classified any more, as after the renaming of a label that all of them had."""
        for lacking, having in requirements.label_pairs:
            if not facts[lacking].current:
                continue
            text = evidence.label_introduction_query(lacking, having, requirements.window)
            if self._ask(PastQuestion(text, _FEW, reach=requirements.window)):
                message = f"events of {lacking} can't be told good or bad: that label was on all of them before"
                return QueryFailure("NotComparable", message)
        return None

    def _verdict(
        self, freshness: Freshness, requirements: FreshnessRequirements, facts: Mapping[str, _SelectorFacts]
    ) -> DataVerdict:
        sampled = {s: selector_facts.newest for s, selector_facts in facts.items() if selector_facts.newest is not None}
        bound = freshness.newest_or_inf(sampled)
        if bound is None:
            missing = ", ".join(sorted(freshness.missing_selectors(sampled)))
            return DataVerdict(None, f"the source has no series {missing}")
        current = {s: sampled[s] for s, selector_facts in facts.items() if selector_facts.current}
        # What is likely to be asked next goes along.
        likely = [
            selector_facts for selector_facts in freshness.assumed_absent(current) if not evidence.is_up(selector_facts)
        ]
        looking = partial(self._looked, freshness, sampled, current, requirements)
        calls: list[Callable[[], Any]] = [
            looking,
            *(partial(self._past_jobs, selector_facts, requirements) for selector_facts in likely),
        ]
        present: Mapping[str, float] = current | _all(calls)[0]
        if requirements.stale_after > LOOKBACK:
            plain = sorted(frozenset[str]().union(*(e.selectors for e in freshness.leaves() if _is_plain(e))))
            _all(
                partial(self._refuse_faded, selector_facts, requirements.stale_after, requirements)
                for selector_facts in plain
            )
        if (
            requirements.past_selector
            and requirements.past_selector not in current
            and not self._past_jobs(requirements.past_selector, requirements)
        ):
            return DataVerdict(
                None,
                f"the source has had no series {requirements.past_selector} in all of the window: is it spelled so?",
            )
        jobs = frozenset[str]().union(*(facts[s].jobs for s in current if s in freshness.selectors))
        doubts = sorted(freshness.assumed_absent(present))
        vouched = _all(partial(self._vouch, selector_facts, jobs, requirements) for selector_facts in doubts)
        for selector, since in zip(doubts, vouched, strict=True):
            if since is None:
                return DataVerdict(
                    None, f"there is no series {selector}, and nothing shows that its targets are all scraped (`up`)"
                )
            bound = min(bound, since)
        if math.isinf(bound):
            return DataVerdict(None, "nothing shows that the source has fresh data")
        counted = {s: facts[s].members for s in current if facts[s].members}
        counted |= {s: 0 for s in freshness.alternatives() if s not in present}
        return DataVerdict(bound, members=tuple(sorted(counted.items())))

    def _looked(
        self,
        freshness: Freshness,
        sampled: Mapping[str, float],
        current: Mapping[str, float],
        requirements: FreshnessRequirements,
    ) -> dict[str, float]:
        """Return the sample times (s) of the series that the query's selectors match, by selector.

        Raises:
            _Unseen: a selector does not see series that exist.
        """
        looks = sorted(freshness.required_reads(), key=lambda read: (read.selector, read.text, read.subquery_span))
        looked = _all(partial(self._look_at, read, read.selector in current, requirements) for read in looks)
        return {
            read.text: sampled[read.selector]
            for read, finds in zip(looks, looked, strict=True)
            if finds and read.text and read.selector in sampled
        }

    def _look_at(self, look: SelectorRead, current: bool, requirements: FreshnessRequirements) -> bool:  # noqa: FBT001 - a partial's
        """Say whether a selector, with its range and offset, matches anything."""
        if look.subquery_span:
            for name in self._named(look.selector, LOOKBACK):
                if self._ask(
                    Question(
                        evidence.sample_interval_query(name, look.subquery_span, look.max_interval),
                        1,
                        reach=look.subquery_span,
                    )
                ):
                    message = "come too far apart for the query, which takes what is between them for absent"
                    raise _Unseen(f"samples of {name} {message}: ask for last_over_time() of it, over a longer range")
        finds = bool(self._ask(Question(look.text, 1, reach=look.reach))) if look.text else current
        if not finds and current:
            why = "they come too far apart for its range, of which rate() needs two, or there were none then"
            raise _Unseen(f"{look.text[6:-1]} finds nothing although {look.selector} has samples: {why}")
        if not finds:
            self._refuse_faded(look.selector, max(_RARELY, requirements.stale_after), requirements)
        return finds

    def _refuse_faded(self, selector: str, seconds: float, requirements: FreshnessRequirements) -> None:
        """Raise `_Unseen` where series have samples within so many seconds, but are not seen although no staleness
        marker ended them.
        """
        names = self._named(selector, seconds)
        _all(partial(self._refuse_faded_name, name, seconds, requirements) for name in names)

    def _refuse_faded_name(self, selector: str, seconds: float, requirements: FreshnessRequirements) -> None:
        visible = self._facts_of(selector, requirements.stale_after).visible
        recent = self._ask(Question(evidence.recent_query(selector, seconds), _FEW))
        last = {_job(labels): value for labels, value in recent}
        for job, newest in sorted(last.items()):
            if job in visible or not evidence.is_past_lookback(newest, self._at):
                continue
            if self._ask(PastQuestion(evidence.sparse_samples_query(selector, job, newest), 1)):
                raise _Unseen(
                    f"the newest sample of {selector} is {self._at - newest:.0f} s old, and the query does not see it: "
                    f"by itself a selector finds what is no older than {LOOKBACK:.0f} s. "
                    f"Ask for last_over_time({selector}[…])"
                )

    def _named(self, selector: str, seconds: float) -> list[str]:
        """Return one selector for each metric that a selector matches, or has matched within so many seconds."""
        if evidence.has_metric_name(selector):
            return [selector]
        met = self._ask(Question(evidence.metric_names_query(selector, seconds), _MOST_NAMES))
        names = [labels.get("__name__", "") for labels, _ in met]
        if "" in names:
            raise _Failed(MALFORMED)
        return [evidence.with_metric_name(selector, name) for name in names]

    def _facts_of(self, selector: str, stale_after: float) -> _SelectorFacts:
        if (selector, stale_after) not in self._facts:
            self._facts[selector, stale_after] = self._look(selector, stale_after)
        return self._facts[selector, stale_after]

    def _look(self, selector: str, stale_after: float) -> _SelectorFacts:
        if not evidence.has_metric_name(selector):
            names = self._named(selector, max(stale_after, LOOKBACK))
            facts = _all(partial(self._look, name, stale_after) for name in names)
            return _SelectorFacts(
                max((fact.newest for fact in facts if fact.newest is not None), default=None),
                any(fact.current for fact in facts),
                frozenset[str]().union(*(fact.jobs for fact in facts)),
                max((fact.members for fact in facts), default=0),
            )
        samples = self._ask(Question(evidence.freshness_query(selector, stale_after), _FEW))
        newest = {_job(labels): value for labels, value in samples if labels.get(evidence.FACT) != evidence.TARGETS}
        members = sum(int(value) for labels, value in samples if labels.get(evidence.FACT) == evidence.TARGETS)
        if newest:
            self.present.add(selector)
            fresh = frozenset(job for job, value in newest.items() if value >= self._at - stale_after)
            return _SelectorFacts(max(newest.values()), True, fresh, members, frozenset(newest))  # noqa: FBT003 - current
        if stale_after <= LOOKBACK:
            return _SelectorFacts()
        recent = self._ask(Question(evidence.recent_query(selector, stale_after), _FEW))
        return _SelectorFacts(max((value for _, value in recent), default=None))

    def _past_jobs(self, selector: str, requirements: FreshnessRequirements) -> frozenset[str]:
        """Return the jobs that exported a selector's series last."""
        if evidence.has_metric_name(selector):
            text = evidence.past_samples_query(selector, requirements.window)
        else:
            text = evidence.past_jobs_query(selector, requirements.window)
        answer = self._ask(PastQuestion(text, _FEW, reach=requirements.window, selector=selector))
        past = {_job(labels): value for labels, value in answer}
        last = max(past.values(), default=0.0) - max(_SAME_TIME, requirements.window / 100)
        return frozenset(job for job, value in past.items() if value >= last)

    def _vouch(self, selector: str, jobs: frozenset[str], requirements: FreshnessRequirements) -> float | None:
        """Return when (s) it was last known that a selector rightly matches nothing; infinity if it is as fresh as the
        others.
        """
        oldest = self._at - requirements.stale_after
        if evidence.is_up(selector):  # it is asked whether anything is scraped: whatever is shows that
            newest = self._facts_of(f"up{{{requirements.scope}}}", requirements.stale_after).newest
            return newest if newest is not None and newest >= oldest else None
        narrow = evidence.target_matchers(selector, requirements.scope)
        past = self._past_jobs(selector, requirements)
        if not past:
            return math.inf if jobs else _all_up(self._up(narrow), oldest)
        needed = past - jobs
        if not needed:
            return math.inf
        if "" in needed:
            return None
        of_jobs = evidence.job_matchers(needed, requirements.scope)
        up = self._up(f"{narrow},{of_jobs}" if narrow else of_jobs) or self._up(of_jobs)
        return _all_up(up, oldest) if needed <= up.keys() else None

    def _up(self, matchers: str) -> dict[str, float]:
        answer = self._ask(Question(evidence.up_query(matchers), _MOST_TARGETS))
        return {_job(labels): value for labels, value in answer}

    def _ask(self, question: Question) -> list[tuple[Mapping[str, str], float]]:
        outcome = self._outcomes.get(question.text)
        if outcome is None:
            raise QuestionsNeeded([question])
        if isinstance(outcome, QueryFailure):
            raise _Failed(outcome)
        if outcome.warnings:  # of targets that are not told of nothing is known
            raise _Failed(QueryFailure("PartialAnswer", "; ".join(outcome.warnings)))
        try:
            return [_fact(series) for series in outcome.series]
        except MetricsError as trouble:
            raise _Failed(failure(trouble)) from None


def _all(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Return the results of all calls; where several need further queries, raise all of these together."""
    results: list[T] = []
    wanted: list[Question] = []
    for call in calls:
        try:
            results.append(call())
        except QuestionsNeeded as want:
            wanted += want.questions
    if wanted:
        raise QuestionsNeeded(wanted)
    return results


def _is_plain(leaf: Freshness) -> bool:
    return leaf.read is None or leaf.read.is_plain


def _fact(series: Any) -> tuple[Mapping[str, str], float]:
    """Return labels and value of a series in the answer to a further query: a time (s), or a count."""
    if not isinstance(series, dict):
        raise malformed()
    value = value_of(series.get("value"))
    if not 0 <= value < math.inf:
        raise malformed()
    return labels_of(series.get("metric")), value


def _all_up(up: Mapping[str, float], oldest: float) -> float | None:
    newest = min(up.values(), default=None)
    return newest if newest is not None and newest >= oldest else None


def _job(labels: Mapping[str, str]) -> str:
    return labels.get("job", "")
