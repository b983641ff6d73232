"""Computes the current risk for a remediation that is under way."""

import math
from collections.abc import Sequence

from forestall.actions import RiskOutlook, traits_of
from forestall.api import Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.api.remediation_policy import Rung
from forestall.core.decision import Hold
from forestall.core.plan import ReplicaDemand, replica_demand
from forestall.core.risk import SLI, Signal
from forestall.core.sizing import LoadSample
from forestall.engine import policy_limits
from forestall.engine.cause import is_signal_lost, signals_of
from forestall.engine.objective_status import Findings

_FAR = 0.5
"""A value below this share of its limit is far from it, whether or not there is a forecast."""
_OF_QUERY = frozenset({"InvalidQuery", "InvalidSpec", "NoData", "QueryRefused", "TooManySeries"})
"""Reasons for a missing value that are about the query itself."""


def outlook(
    remediation: Remediation,
    slo: ServiceLevelObjective | None,
    policy: RemediationPolicy | None,
    signals: Sequence[Signal],
    ready: int | None,
) -> RiskOutlook:
    """Return the outlook from the series that show the effect of the remediation.

    `ready` is the number of ready replicas. `slo` and `policy` are None when they are deleted; the action is then
    reverted.
    """
    intent, mine = remediation.spec.intent, signals_of(remediation, signals)
    is_lost = is_signal_lost(remediation, signals)
    silent = all(signal.indicator != intent.evidence.indicator for signal in signals)
    relevant = [signal for signal in signals if signal.indicator == intent.evidence.indicator] if is_lost else mine
    fresh = bool(relevant) and all(signal.fresh for signal in relevant)
    scale = policy_limits.rung_of(intent.action).scale
    within = policy_limits.trigger_of(policy).within if policy else None
    wanted = (
        replica_demand(scale, intent.evidence.indicator, signals, ready, within)
        if scale
        else ReplicaDemand(None, None, None)
    )
    # A declared capacity carries a total, which does not fall when replicas are added: it is covered, or not. Before
    # there is a forecast its present value says so, as in the status of the objective.
    declared = scale is not None and scale.capacity.per_replica is not None and wanted.signal in mine
    needed = wanted.observed if wanted.forecast is None else wanted.forecast
    covered = declared and ready is not None and needed is not None and needed <= ready
    level = wanted.signal if scale is not None and scale.capacity.per_replica is None else None
    return RiskOutlook(
        fresh=fresh,
        probability=0.0 if covered or is_lost else _worst(mine) if fresh else math.nan,
        breached=not covered and any(signal.breached for signal in mine),
        sampled_at=max((signal.sampled_at for signal in relevant), default=-math.inf),
        replicas_forecast=wanted.forecast,
        replicas_observed=wanted.observed,
        load=LoadSample(ready, level.value) if ready and level is not None else None,
        withdrawn=_deleted(remediation)
        or _withdrawn(slo, policy)
        or (_unwatched(slo, intent.evidence.indicator) if slo and silent else None),
        edited=_edited(remediation, slo, policy) if slo and policy else None,
    )


def unjudgeable(remediation: Remediation, findings: Findings | None) -> Hold | None:
    """Return why there may never be fresh data about the risk again, because people changed or deleted the objective.

    Failures and missing data of a source may pass, and so are not among these reasons.
    """
    intent = remediation.spec.intent
    if findings is None:
        return Hold("Withdrawn", "its objective does not exist any more, or is not valid")
    name, indicator = findings.slo.name, intent.evidence.indicator
    if (unwatched := _unwatched(findings.slo, indicator)) is not None:
        return unwatched
    if intent.objective_generation in (0, findings.slo.metadata.generation):
        return None
    readings = [reading.problem for reading in findings.readings if reading.watched.indicator == indicator]
    for problem in (findings.problem, *readings):
        if problem is not None and problem.reason in _OF_QUERY:
            message = f"objective {name} was changed, and {indicator} has no value since: {problem.message}"
            return Hold("Withdrawn", message)
    return None


def _deleted(remediation: Remediation) -> Hold | None:
    if remediation.spec.restored is None:
        return None
    return Hold("Deleted", "somebody deleted this Remediation while it was under way: it does nothing more")


def _withdrawn(slo: ServiceLevelObjective | None, policy: RemediationPolicy | None) -> Hold | None:
    if slo is None or policy is None:
        return Hold("Withdrawn", "its objective or its policy does not exist any more")
    if policy.spec.suspend:
        return Hold("Withdrawn", f"policy {policy.name} was suspended")
    if policy.spec.mode == "Observe":
        return Hold("Withdrawn", f"policy {policy.name} only observes now")
    if not policy.spec.objectives.matches(slo.metadata.labels):
        return Hold("Withdrawn", f"policy {policy.name} does not select objective {slo.name} any more")
    return None


def _unwatched(slo: ServiceLevelObjective, indicator: str) -> Hold | None:
    """Return that the risk can't be measured any more, where the objective no longer has the indicator."""
    if indicator in (SLI, *(indicator.name for indicator in slo.spec.leading_indicators)):
        return None
    return Hold("Withdrawn", f"objective {slo.name} has no indicator {indicator} any more")


def _edited(remediation: Remediation, slo: ServiceLevelObjective, policy: RemediationPolicy) -> Hold | None:
    intent, name, target = remediation.spec.intent, policy.name, slo.spec.target
    traits, is_same = traits_of(intent.action), (target.kind, target.name) == (intent.target.kind, intent.target.name)
    if traits.scope == "workload" and traits.changes_cluster and not is_same:
        return Hold("Withdrawn", f"objective {slo.name} is about {target.kind.lower()} {target.name} now")
    if intent.policy_generation == policy.metadata.generation:
        return None
    if not any(_allows(rung, intent.action) for rung in policy.spec.actions):
        return Hold("Withdrawn", f"policy {name} was changed, and has this action with these bounds no more")
    if policy.spec.mode == "Approve" and intent.mode == "Auto" and not policy_limits.only_notifies(remediation):
        return Hold("Withdrawn", f"policy {name} was changed, and asks for approval now")
    return None


def _allows(rung: Rung, action: Rung) -> bool:
    """Say whether `rung` of a policy is still `action` as it was decided, or allows it to scale further."""
    present, decided = rung.scale, action.scale
    if present is None or decided is None or present.max_replicas < decided.max_replicas:
        return rung == action
    wider = decided.model_copy(update={"max_replicas": present.max_replicas})
    return rung == action.model_copy(update={"scale": wider})


def _worst(signals: Sequence[Signal]) -> float:
    return max((estimated_probability(signal) for signal in signals), default=math.nan)


def estimated_probability(signal: Signal) -> float:
    """Return the breach probability; where no forecast can be made yet, 0 far from the limit and 1 near it."""
    probability = signal.probability()
    if not math.isnan(probability):
        return probability
    far = signal.above and signal.limit > 0 and signal.value <= signal.limit * _FAR
    return 0.0 if far else 1.0
