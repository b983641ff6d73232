"""The load that the ready replicas of a workload carry, where a policy declares it: a total is at risk only beyond
that.

The limit of a total fits the usual size of the workload. After a scale-out the total stays above that limit, although
the replicas carry it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.core.risk import assess
from forestall.engine.concurrency import within
from forestall.engine.objective_status import Findings, named
from forestall.engine.readings import may_hide_risk
from forestall.engine.snapshot import Snapshot
from forestall.engine.target_resolver import ResolvedTarget, TargetResolver
from forestall.isolation import ErrorIsolation


def declared(slo: ServiceLevelObjective, policies: Iterable[RemediationPolicy]) -> dict[str, float]:
    """Return the declared capacity of one replica by leading indicator, less the headroom; the least of several
    policies.
    """
    leading = [indicator.name for indicator in slo.spec.leading_indicators if indicator.direction == "Above"]
    result: dict[str, float] = {}
    for rung in (rung for policy in policies for rung in policy.spec.actions):
        capacity = rung.scale.capacity if rung.scale else None
        if capacity is None or capacity.per_replica is None:
            continue
        # The capacity is in the unit of one indicator: where it is not named, only one can be meant.
        named_here = [capacity.indicator] if capacity.indicator else (rung.indicators or leading)
        for name in named_here if len(named_here) == 1 and named_here[0] in leading else ():
            carries = capacity.per_replica * (1 - capacity.headroom)
            result[name] = min(carries, result.get(name, carries))
    return result


class DeclaredCapacityChecker:
    """Reads the targets of objectives at risk whose policies declare the capacity of a replica."""

    def __init__(self, targets: TargetResolver, isolation: ErrorIsolation) -> None:
        self._targets = targets
        self._isolation = isolation

    async def applied(
        self,
        snapshot: Snapshot,
        findings_by_uid: Mapping[str, Findings],
        at_risk_from: Mapping[str, float],
        until: float = math.inf,
    ) -> dict[str, Findings]:
        """Return the findings, with the limits of declared totals replaced by what the ready replicas carry.

        `at_risk_from` has the breach probability from which each objective (UID) is at risk. Where the replicas are not
        known at `until` (s, of the event loop) the objective's own limit applies.
        """
        after = await within(
            until, (self._of(snapshot, uid, findings, at_risk_from[uid]) for uid, findings in findings_by_uid.items())
        )
        return {uid: result or findings for (uid, findings), result in zip(findings_by_uid.items(), after, strict=True)}

    async def _of(self, snapshot: Snapshot, uid: str, findings: Findings, at_risk_from: float) -> Findings:
        with self._isolation.attempt("assessing", named(findings.slo)):
            risky = {signal.indicator for signal in findings.signals if signal.probability() >= at_risk_from}
            # Most objectives are at no risk: the ladders of their policies need not be gone through.
            carries = declared(findings.slo, snapshot.policies[uid]) if risky else {}
            if risky.isdisjoint(carries):
                return findings
            target = await self._targets.read(findings.slo, with_scale=False)
            if isinstance(target, ResolvedTarget) and target.size.ready:
                ready = target.size.ready
                signals = tuple(
                    signal.with_capacity(ready * carries.get(signal.indicator, 0.0)) for signal in findings.signals
                )
                risk = assess(signals, at_risk_from, blind=may_hide_risk(findings.readings))
                return replace(findings, signals=signals, risk=risk)
        return findings
