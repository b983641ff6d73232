"""What a cycle did."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forestall.core.risk import State
from forestall.engine.report import Findings


@dataclass(frozen=True, slots=True)
class CycleReport:
    """What a cycle did, for the operator's own metrics and log."""

    objectives: Mapping[str, State]
    """State by UID."""
    probabilities: Sequence[tuple[str, str, str, float]]
    """Namespace, objective, cause and breach probability of each objective about which something is known."""
    decisions: Mapping[tuple[str, str], int]
    """How many, by verdict and reason."""
    ended: Sequence[tuple[str, str]]
    """Action and final phase of each remediation that ended in this cycle."""
    waiting: int
    """How many queries wait for their past to be fetched."""
    findings: Mapping[str, Findings]
    """All that was found out, by the objective's UID."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """How many unexpected errors were kept to the object that they are about, by what was being done."""

    @property
    def over_share(self) -> Mapping[str, int]:
        """How many indicators and decisions were left out because their namespace used up its share, by namespace."""
        over: Counter[str] = Counter()
        for each in self.findings.values():
            problems = [reading.problem.reason for reading in each.readings if reading.problem is not None]
            reasons = [*problems, *(one.reason for one in each.decisions)]
            if count := reasons.count("ShareExhausted"):
                over[each.slo.namespace] += count
        return over


def report_of(
    found: Mapping[str, Findings], ended: Sequence[tuple[str, str]], waiting: int, faults: Mapping[str, int]
) -> CycleReport:
    """Return the report of a cycle."""
    return CycleReport(
        objectives={uid: each.state for uid, each in found.items()},
        probabilities=[
            (each.slo.namespace, each.slo.name, each.risk.cause.indicator, each.risk.probability)
            for each in found.values()
            if each.risk.cause is not None
        ],
        decisions=Counter((one.verdict, one.reason) for each in found.values() for one in each.decisions),
        ended=ended,
        waiting=waiting,
        findings=found,
        faults=dict(faults),
    )
