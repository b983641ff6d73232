"""What the present cycle says about the risk of a remediation that is under way."""

import math
from dataclasses import replace

from forestall.actions.base import Outlook
from forestall.api import Remediation
from forestall.core.decision import Hold
from forestall.core.plan import need
from forestall.core.risk import Signal
from forestall.engine import terms
from forestall.engine.act import Case

_FAR = 0.5
"""A value that has come no further than this share of its limit is far from it, forecast or not."""


_UNKNOWN = Outlook(fresh=False, probability=math.nan, breached=False, sampled_at=-math.inf)


def outlook(remediation: Remediation, case: Case | None, ready: int | None) -> Outlook:
    """Return the outlook for the indicator that caused the remediation.

    The series that caused it may be gone, as a restarted pod's is: all series of the indicator count, of a node
    only its own. `ready` are the replicas that serve now, where the capacity is proportional.
    """
    if case is None:
        return replace(_UNKNOWN, withdrawn=Hold("Withdrawn", "its objective or its policy does not exist any more"))
    intent = remediation.spec.intent
    signals = [signal for signal in case.signals if signal.indicator == intent.evidence.indicator]
    if intent.target.kind == "Node":
        signals = [signal for signal in signals if signal.label("node") == intent.target.name]
    fresh = bool(signals) and all(signal.fresh for signal in signals)
    scale = terms.rung_of(intent.action).scale
    within = terms.trigger_of(case.policy).within
    wanted = need(scale, intent.evidence.indicator, case.signals, ready, within) if scale is not None else None
    return Outlook(
        fresh=fresh,
        probability=max((_probability(signal) for signal in signals), default=math.nan) if fresh else math.nan,
        breached=any(signal.breached for signal in signals),
        sampled_at=max((signal.sampled_at for signal in signals), default=-math.inf),
        replicas_forecast=wanted.forecast if wanted else None,
        replicas_observed=wanted.observed if wanted else None,
        withdrawn=_withdrawn(case),
    )


def _withdrawn(case: Case) -> Hold | None:
    policy = case.policy
    if policy.spec.suspend:
        return Hold("Withdrawn", f"policy {policy.name} was suspended")
    if policy.spec.mode == "Observe":
        return Hold("Withdrawn", f"policy {policy.name} only observes now")
    if not policy.spec.objectives.matches(case.slo.metadata.labels):
        return Hold("Withdrawn", f"policy {policy.name} does not select objective {case.slo.name} any more")
    return None


def _probability(signal: Signal) -> float:
    """Return the breach probability; where no forecast can be made yet, 0 far from the limit and 1 near it."""
    known = signal.probability()
    if not math.isnan(known):
        return known
    far = signal.above and signal.limit > 0 and signal.value <= signal.limit * _FAR
    return 0.0 if far else 1.0
