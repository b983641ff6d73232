"""Leaves out the series of pods and nodes that do not exist any more, where something would rest on them, and notices
those that exist and fell silent while they were at risk.

An unexpected error leaves an objective without evidence: nothing is done for it, and all others are checked.

The API server is asked only for objectives at risk or with a Remediation under way, about indicators with `per: pod` or
`per: node`: one list for each namespace, one of the nodes, of metadata alone, and after the metric sources answered.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from forestall.api import ServiceLevelObjective
from forestall.api.times import seconds
from forestall.core.risk import assess
from forestall.core.subjects import ListedSubject, SampledSpan, missing_subjects, replaced_subjects
from forestall.engine.cause import NODE, POD
from forestall.engine.concurrency import within
from forestall.engine.fair_scheduling import NamespaceLimit
from forestall.engine.forecasting import signal_without_data
from forestall.engine.objective_status import INTERNAL_ERROR, Findings, Problem, named
from forestall.engine.outlook import estimated_probability
from forestall.engine.readings import Reading, may_hide_risk
from forestall.engine.silent_subjects import SilentSubjects
from forestall.engine.snapshot import Snapshot
from forestall.engine.subject_messages import (
    Scope,
    all_missing,
    all_subjects,
    silent_subjects,
    unlisted_subjects,
    unresolved_label,
    unused_series,
)
from forestall.errors import ClusterError
from forestall.isolation import ErrorIsolation
from forestall.ports import Labels, MetadataReader, QueryFailure

_UNFINISHED: Final = "status.phase!=Succeeded,status.phase!=Failed"
_KINDS: Final = {POD: ("Pod", _UNFINISHED), NODE: ("Node", "")}
_NAMESPACE: Final = "namespace"
_Listing = Mapping[str, ListedSubject] | str | Problem | None
"""What exists by name, or why that is not known; None: there was no time. After a problem nothing may rest on it."""


@dataclass(slots=True)
class _Memory:
    """What earlier lists of a scope said."""

    uids: dict[str, str] = field(default_factory=dict)
    """By name, of the last list."""
    successors: set[str] = field(default_factory=set)
    """The UIDs of the objects that took a name that was there before."""
    missing: frozenset[str] = frozenset()
    """The subjects that had series, and did not exist, when the scope was last listed."""

    def note(self, listed: Mapping[str, ListedSubject]) -> None:
        """Take over a new list."""
        for name, subject in listed.items():
            if self.uids.get(name, subject.uid) != subject.uid:
                self.successors.add(subject.uid)
        self.uids = {name: subject.uid for name, subject in listed.items()}
        self.successors &= set(self.uids.values())


class SubjectChecker:
    """Asks which pods and nodes exist, and remembers what the lists said."""

    def __init__(self, cluster: MetadataReader, concurrency: int, isolation: ErrorIsolation) -> None:
        self._cluster = cluster
        self._isolation = isolation
        self._limit = NamespaceLimit(concurrency)
        self._memories: dict[Scope, _Memory] = {}
        self._silent = SilentSubjects()
        self._resolved: set[tuple[str, str]] = set()  # objectives and indicators whose label named what exists

    async def applied(
        self,
        snapshot: Snapshot,
        findings_by_uid: Mapping[str, Findings],
        at_risk_from: Mapping[str, float],
        oldest_sample: Callable[[str], float],
        until: float,
    ) -> dict[str, Findings]:
        """Return the findings without the series of what is gone.

        `at_risk_from` are the probabilities from which an objective is at risk, by its UID; `oldest_sample(source)` is
        from when (s) on samples of a source count. What is not listed at `until` (s, of the event loop) is not known.
        """
        self._forget(snapshot)
        under_way = {item.spec.intent.objective.uid for item in snapshot.remediations if not item.ended}
        result = dict(findings_by_uid)
        due: dict[str, list[Reading]] = {}
        for uid, findings in findings_by_uid.items():
            with self._isolation.attempt("assessing", named(findings.slo)) as attempt:
                if readings := list(self._due(findings, at_risk_from[uid], under_way=uid in under_way)):
                    due[uid] = readings
            if attempt.failure is not None:
                result[uid] = findings.without_evidence(attempt.failure)
        scopes = {_scope(findings_by_uid[uid].slo, reading) for uid, readings in due.items() for reading in readings}
        lists = dict(zip(scopes, await within(until, map(self._list, scopes)), strict=True))
        missing: dict[Scope, set[str]] = defaultdict(set)
        for uid, readings in due.items():
            findings = findings_by_uid[uid]
            with self._isolation.attempt("assessing", named(findings.slo)) as attempt:
                span = oldest_sample(findings.slo.spec.source)
                result[uid] = self._judged(findings, readings, lists, at_risk_from[uid], span, missing)
            if attempt.failure is not None:
                result[uid] = findings.without_evidence(attempt.failure)
        for scope, listed in lists.items():
            if isinstance(listed, Mapping):
                self._memories[scope].missing = frozenset(missing[scope])
        return result

    async def _list(self, scope: Scope) -> _Listing:
        label, namespace = scope
        kind, selector = _KINDS[label]
        with self._isolation.attempt("listing", all_subjects(scope)) as attempt:
            try:
                async with self._limit.slot(namespace):
                    items = await self._cluster.find_metadata("v1", kind, namespace, field_selector=selector)
            except ClusterError as error:
                return str(error)
            listed = {str(item["name"]): _listed_subject(item) for item in items}
            self._memories.setdefault(scope, _Memory()).note(listed)
            return listed
        return Problem(INTERNAL_ERROR, attempt.failure or "")

    def _judged(
        self,
        findings: Findings,
        due: Sequence[Reading],
        lists: Mapping[Scope, _Listing],
        at_risk_from: float,
        oldest: float,
        missing: Mapping[Scope, set[str]],
    ) -> Findings:
        """Return the findings without the series of what is gone by `lists`; note in `missing` what that is."""
        slo, warnings = findings.slo, []
        left_out: dict[str, frozenset[str]] = {}
        doubtful: dict[str, frozenset[str]] = {}
        silent: dict[str, frozenset[str]] = {}
        for reading in due:
            scope, indicator = _scope(slo, reading), reading.watched.indicator
            names, listed = _subjects(slo, reading), lists[scope]
            if isinstance(listed, Problem):
                return findings.without_evidence(listed.message)
            if not isinstance(listed, Mapping):
                left_out[indicator] = names & self._memories.get(scope, _Memory()).missing
                silent[indicator] = self._silent.note(reading, names, (), None)
                warnings.append(unlisted_subjects(scope, indicator, listed))
                continue
            resolved = (slo.uid, indicator) in self._resolved
            prefix = f"{slo.spec.target.name}-" if scope[0] == POD else ""
            absent = missing_subjects(names, listed, resolved=resolved, prefix=prefix)
            if absent is None:
                warnings.append(unresolved_label(scope, indicator))
                continue
            self._resolved.add((slo.uid, indicator))
            missing[scope].update(absent)
            span = SampledSpan(oldest, reading.sampled_at)
            left_out[indicator] = absent
            doubtful[indicator] = replaced_subjects(names, listed, self._memories[scope].successors, span)
            risky = _risky(findings, reading, at_risk_from) - doubtful[indicator]
            silent[indicator] = self._silent.note(reading, names, risky, listed)
            warnings += unused_series(scope, indicator, absent, doubtful[indicator])
        after = _with_silent(_without_old_samples(_without(findings, left_out), doubtful, at_risk_from), silent)
        risk = assess(after.signals, at_risk_from, blind=may_hide_risk(after.readings))
        return replace(after, risk=risk, warnings=(*findings.warnings, *warnings))

    def _forget(self, snapshot: Snapshot) -> None:
        """Forget the objectives and namespaces that are not watched any more."""
        self._limit.clear()
        namespaces = {slo.namespace for slo in snapshot.objectives.values()} | {""}
        self._memories = {scope: memory for scope, memory in self._memories.items() if scope[1] in namespaces}
        self._resolved = {key for key in self._resolved if key[0] in snapshot.objectives}
        self._silent.retain(snapshot.objectives)

    def _due(self, findings: Findings, at_risk_from: float, *, under_way: bool) -> Iterable[Reading]:
        """Yield the readings that name pods or nodes, where a risk or a verdict may rest on them, or was at risk."""
        risky = {signal.indicator for signal in findings.signals if signal.probability() >= at_risk_from}
        for reading in findings.readings:
            judged = reading.watched.per in _KINDS and reading.fresh
            counts = under_way or reading.watched.indicator in risky or self._silent.remembers(reading)
            if judged and counts and _subjects(findings.slo, reading):
                yield reading


def _scope(slo: ServiceLevelObjective, reading: Reading) -> Scope:
    label = reading.watched.per or ""
    return label, slo.namespace if label == POD else ""


def _subjects(slo: ServiceLevelObjective, reading: Reading) -> frozenset[str]:
    """Return the names of the subjects of a reading."""
    return frozenset(name for labels in reading.values if (name := _subject(slo, reading, labels)))


def _risky(findings: Findings, reading: Reading, at_risk_from: float) -> frozenset[str]:
    """Return the names of the subjects of a reading that are at risk."""
    return frozenset(
        name
        for signal in findings.signals
        if signal.indicator == reading.watched.indicator
        and signal.probability() >= at_risk_from
        and (name := _subject(findings.slo, reading, signal.labels))
    )


def _subject(slo: ServiceLevelObjective, reading: Reading, labels: Labels) -> str:
    """Return the pod or node that a series of a reading speaks of; empty for pods of other namespaces, which are not
    the operator's to ask for.
    """
    pairs, label = dict(labels), reading.watched.per or ""
    is_foreign = label == POD and pairs.get(_NAMESPACE) not in (None, "", slo.namespace)
    return "" if is_foreign else pairs.get(label, "")


def _without(findings: Findings, left_out: Mapping[str, Collection[str]]) -> Findings:
    """Return the findings without the series of these subjects, by indicator."""
    readings: list[Reading] = []
    signals = list(findings.signals)
    for reading in findings.readings:
        indicator = reading.watched.indicator
        subjects = left_out.get(indicator)
        if not subjects:
            readings.append(reading)
            continue
        dropped = {labels for labels in reading.values if _subject(findings.slo, reading, labels) in subjects}
        values = {labels: value for labels, value in reading.values.items() if labels not in dropped}
        signals = [item for item in signals if item.indicator != indicator or item.labels not in dropped]
        after = replace(reading, values=values)
        if not values:
            failure = QueryFailure("SubjectGone", all_missing(reading.watched.per or "", subjects))
            after = replace(reading, values={}, fresh=False, problem=failure)
            signals.append(signal_without_data(after))
        readings.append(after)
    return replace(findings, readings=tuple(readings), signals=tuple(signals))


def _with_silent(findings: Findings, silent: Mapping[str, frozenset[str]]) -> Findings:
    """Return the findings in which the readings say which subjects fell silent, by indicator."""
    readings = tuple(
        replace(reading, silent=names, problem=reading.problem or _silence(reading, names))
        if (names := silent.get(reading.watched.indicator))
        else reading
        for reading in findings.readings
    )
    return replace(findings, readings=readings)


def _silence(reading: Reading, names: Collection[str]) -> QueryFailure:
    return QueryFailure("SubjectSilent", silent_subjects(reading.watched.per or "", names))


def _without_old_samples(findings: Findings, doubtful: Mapping[str, Collection[str]], at_risk_from: float) -> Findings:
    """Return the findings in which no risk is by samples that may be of a predecessor: neither is that it fell."""
    per = {reading.watched.indicator: reading.watched.per or "" for reading in findings.readings}
    signals = tuple(
        replace(signal, fresh=False)
        if signal.label(per.get(signal.indicator, "")) in doubtful.get(signal.indicator, ())
        and not estimated_probability(signal) < at_risk_from
        else signal
        for signal in findings.signals
    )
    return replace(findings, signals=signals)


def _listed_subject(metadata: Mapping[str, Any]) -> ListedSubject:
    created = seconds(metadata.get("creationTimestamp")) or 0.0
    return ListedSubject(str(metadata["uid"]), created, terminating=bool(metadata.get("deletionTimestamp")))
