"""Whether an indicator falls as replicas are added, as a level per replica does and a total does not.

Proportional sizing takes the indicator for a level. Where it is a total, each raise makes the next one look too small:
so a raise is compared with what came of it, and where nothing fell no more is added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from forestall.actions.base import TimedOutlook, condition_of
from forestall.api.meta import Condition
from forestall.api.remediation import Remediation, Step
from forestall.api.times import seconds
from forestall.core.precision import format_value_and_limit
from forestall.core.sizing import LoadSample

PROPORTIONAL: Final = "Proportional"
"""The condition that says whether the indicator fell as replicas were added."""
REMEMBERED: Final = 300.0
"""For how long (s) at least it must be known how many replicas served, to find when more did."""
_BURST: Final = 120.0
"""Raises that follow each other within this time (s) are looked at as one."""


@dataclass(frozen=True, slots=True)
class _LoadComparison:
    """A raise before and after."""

    then: LoadSample
    now: LoadSample
    pending: bool
    """Whether no sample is known yet that was taken when so many served."""


def noted(remediation: Remediation, recent: Sequence[TimedOutlook], now: float) -> Condition | None:
    """Return the condition that says whether the indicator fell; None where nothing is to be said yet.

    `recent` are the newest outlooks, oldest first; the last one is of this cycle. What did not fall may do so yet; what
    fell is asked about again after the next raise.
    """
    before, base = condition_of(remediation, PROPORTIONAL), _baseline(remediation, recent)
    if base is None or not recent[-1].outlook.fresh:
        return before
    if base.now.fell_like_level(base.then):
        return Condition.since(
            now, PROPORTIONAL, "True", "IndicatorFell", f"{_message(remediation, base)}, as a level per replica does"
        )
    if base.pending or looks_total(remediation) is not None:
        return before
    message = (
        f"{_message(remediation, base)}: it did not fall as replicas were added, so it looks like a total and not "
        f"like a level per replica, and no more are added for it. If it is one, declare in policy "
        f"{remediation.spec.intent.policy.name} `capacity: {{type: Declared, perReplica: ...}}`, or divide the query "
        f"by the number of replicas"
    )
    return Condition.since(now, PROPORTIONAL, "False", "IndicatorIsTotal", message)


def looks_total(remediation: Remediation) -> Condition | None:
    """Return the condition that says that the indicator looks like a total; None where it does not."""
    recorded = condition_of(remediation, PROPORTIONAL)
    return recorded if recorded is not None and recorded.status == "False" else None


def may_raise(remediation: Remediation, recent: Sequence[TimedOutlook]) -> bool:
    """Say whether more replicas may be asked for: not while the last ones do not show in the indicator yet."""
    if looks_total(remediation) is not None:
        return False
    base = _baseline(remediation, recent)
    return base is None or not base.pending


def _burst(remediation: Remediation) -> list[Step]:
    """Return the newest raises that follow each other closely and are not judged yet, oldest first."""
    recorded = condition_of(remediation, PROPORTIONAL)
    fell = seconds(recorded.last_transition_time) if recorded is not None and recorded.status == "True" else None
    burst: list[Step] = []
    for step in reversed(remediation.status.steps):
        at = seconds(step.at)
        if not step.done or at is None or (step.to or 0) <= (step.from_ or 0) or (fell is not None and at < fell):
            break
        if burst and (seconds(burst[0].at) or 0.0) - at > _BURST:
            break
        burst.insert(0, step)
    return burst


def _baseline(remediation: Remediation, recent: Sequence[TimedOutlook]) -> _LoadComparison | None:
    """Return what was there before so many more served; of several moments the one that shows best that it fell."""
    now, burst = recent[-1].outlook.load if recent else None, _burst(remediation)
    if now is None or not burst:
        return None
    began = (seconds(burst[0].at) or 0.0) - 1.0  # which is written down in whole seconds
    since = [(moment.at, load) for moment in recent if moment.at >= began and (load := moment.outlook.load) is not None]
    first = burst[0].load
    loads = since if first is None else [(began, LoadSample(first.ready, first.value)), *since]
    fewer = [(at, load) for at, load in loads if now.has_outgrown(load)]
    if not fewer:
        return None
    _, then = max(fewer, key=lambda entry: entry[1].value * entry[1].ready ** 0.5)
    last = max(at for at, _ in fewer)
    grown = min((at for at, _ in since if at > last), default=began)
    return _LoadComparison(then, now, pending=recent[-1].outlook.sampled_at <= grown)


def _message(remediation: Remediation, base: _LoadComparison) -> str:
    value, then = format_value_and_limit(base.now.value, base.then.value)
    scale = remediation.spec.intent.action.scale
    name = (scale.capacity.indicator if scale else None) or remediation.spec.intent.evidence.indicator
    return f"{name} was {then} with {base.then.ready} ready replicas, and is {value} with {base.now.ready}"
