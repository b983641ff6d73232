"""What a cycle did."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forestall.core.clock_skew import ClockSkew
from forestall.core.risk import ObjectiveState, Signal
from forestall.engine.objective_status import Findings
from forestall.engine.source_health import SourceHealth


@dataclass(frozen=True, slots=True)
class CycleReport:
    """What a cycle did, for the operator's own metrics and log."""

    objectives: Mapping[str, ObjectiveState]
    """State by UID."""
    probabilities: Sequence[tuple[str, str, str, float]]
    """Namespace, objective, indicator and breach probability of each indicator with a forecast; the series with the
    highest probability counts.
    """
    decisions: Mapping[tuple[str, str], int]
    """The number of decisions, by verdict and reason."""
    ended: Sequence[tuple[str, str]]
    """Action and final phase of each remediation that ended in this cycle."""
    waiting: int
    """How many queries wait for their history."""
    findings: Mapping[str, Findings]
    """The findings of each objective, by UID."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """How many unexpected errors were confined to one object, by the task that failed."""
    clocks: ClockSkew = ClockSkew()
    """The clocks that differ too much."""
    sources: Mapping[str, SourceHealth] = field(default_factory=dict)
    """The health of the metric sources, by name."""

    @property
    def over_share(self) -> Mapping[str, int]:
        """How many indicators and decisions were skipped because their namespace used up its share, by namespace."""
        over: Counter[str] = Counter()
        for findings in self.findings.values():
            problems = [reading.problem.reason for reading in findings.readings if reading.problem is not None]
            reasons = [*problems, *(decision.reason for decision in findings.decisions)]
            if count := reasons.count("ShareExhausted"):
                over[findings.slo.namespace] += count
        return over


def _probabilities(signals: Sequence[Signal]) -> Mapping[str, float]:
    """Return the highest breach probability of each indicator; empty where there is no forecast."""
    highest: dict[str, float] = {}
    for signal in signals:
        probability = signal.probability()
        if not math.isnan(probability):
            highest[signal.indicator] = max(probability, highest.get(signal.indicator, 0.0))
    return highest


def report_of(
    findings_by_uid: Mapping[str, Findings], ended: Sequence[tuple[str, str]], waiting: int, faults: Mapping[str, int]
) -> CycleReport:
    """Return the report of a cycle."""
    return CycleReport(
        objectives={uid: findings.state for uid, findings in findings_by_uid.items()},
        probabilities=[
            (findings.slo.namespace, findings.slo.name, indicator, probability)
            for findings in findings_by_uid.values()
            for indicator, probability in _probabilities(findings.signals).items()
        ],
        decisions=Counter(
            (decision.verdict, decision.reason)
            for findings in findings_by_uid.values()
            for decision in findings.decisions
        ),
        ended=ended,
        waiting=waiting,
        findings=findings_by_uid,
        faults=dict(faults),
    )
