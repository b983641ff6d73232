"""Raise the replicas of a workload, or the floor of its autoscaler, for as long as a risk lasts.

What is raised is called the floor. It goes up as soon as the forecast asks for more, within the policy's bounds. It
comes down only when observation *and* forecast have asked for less during the whole stabilization window, and then only
to the most that either asked for in that window, in small steps. So a forecast that goes up and down leaves the floor
where it is. It never goes below what was found. While there is no forecast, as of a series that is new, observation
alone has to have asked for less, for ten minutes at least.

What does not fall as replicas are added is no level per replica: then no more are added (see `proportion`).

A scale-out that did not help is not raised further, but kept while the risk lasts: taking capacity from a service in
trouble can only make it worse. It is released by the same rule, and in any case after the policy's longest time. Pods
that have never been ready are no capacity: they are released as soon as it is plain that they do not start.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from forestall.actions.base import (
    Change,
    Next,
    ObservedState,
    Outcome,
    RiskOutlook,
    TimedOutlook,
    WorkloadAction,
    condition_of,
    has_helped,
    title,
    undo_requested,
)
from forestall.actions.floor import FIELDS, find_floor, find_raised
from forestall.actions.proportion import looks_total, may_raise
from forestall.actions.rights import may_patch
from forestall.actions.starting import PODS_READY, SERVE_NOBODY, find_stalled, in_words, may_add, patience
from forestall.actions.verdict import unverifiable
from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.remediation_policy import ScaleAction
from forestall.api.times import seconds
from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.traits import ActionTraits
from forestall.core.wording import plural
from forestall.ports import Cluster, Reader, Right

RELEASE_SHARE: Final = 0.1
"""The share of the replicas, but at least one, that is released in one step. Fewer are not released at all, unless
that ends it: a floor that follows every small change of a noisy forecast does as much harm as good."""
RAISE_SHARE: Final = 0.05
"""The share of the replicas by which the forecast must ask for more before a floor that is held is raised."""
OBSERVED_ALONE: Final = 600.0
"""For how long (s), at least, observation must have needed fewer replicas where there is no forecast. No forecast of a
new series is scored while an action is in effect, so that it may not get one before the replicas are released."""
RELEASE_STEPS: Final = 10
"""How many steps fit into one stabilization window: the effect of one must have time to show before the next."""


class Scale(WorkloadAction):
    """The action `scale`."""

    traits: ClassVar[ActionTraits] = ActionTraits(
        name="Scale",
        scope="workload",
        changes_cluster=True,
        disruption="none",
        changes_replicas=True,
        cause_label="",
        verification="indicator",
        lowers_risk=True,
        spent_for="target",
        kept_while_at_risk=True,
        undo="give the added replicas back step by step, never below what was found",
        allowed_by_default=True,
        chart_value="",
    )

    def rights(self, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
        """Return the right to write what decides about the replicas."""
        written = subject or target
        return (may_patch(written, "" if written.kind in FIELDS else "scale"),)

    async def observe(self, cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
        """Return the floor as it is now, where it was raised."""
        target, steps = remediation.spec.intent.target, remediation.status.steps
        raised = steps[-1].subject if steps else None
        # Until the last step is known to be made nothing is asked about its pods, which come later.
        lately = bool(steps) and remediation.status.phase != "Executing"
        floor = await (find_floor(cluster, target) if raised is None else find_raised(cluster, target, raised))
        if isinstance(floor, Hold):
            return floor
        max_replicas = _terms(remediation).max_replicas
        return ObservedState(
            level=floor.level,
            subject=floor.subject,
            resource_version=floor.resource_version,
            taken_over=floor.taken_over,
            ceiling=max_replicas if floor.ceiling is None else min(max_replicas, floor.ceiling),
            size=floor.replicas,
            blocked=floor.blocked,
            unattached=floor.orphaned,
            stalled=await find_stalled(cluster, remediation, floor) if lately else None,
        )

    def first_change(self, remediation: Remediation, observed: ObservedState) -> Change | Hold:
        """Return the step from what was found to what the forecast asked for."""
        intent, terms = remediation.spec.intent, _terms(remediation)
        name, original = title(observed.subject), intent.from_
        if original is None or intent.to is None:
            return Hold("IntentIncomplete", "the intent does not say from how many replicas to how many")
        if observed.blocked is not None:
            return observed.blocked
        if observed.level != original:
            return Hold(
                "Superseded",
                f"{name} was changed from {original} to {observed.level} by somebody else since this was decided; "
                f"it is left alone",
            )
        size = original if observed.size is None else observed.size
        if size == 0 or size < terms.min_replicas:
            least = max(1, terms.min_replicas)
            return Hold("BelowMinimum", f"{name} has {plural(size, 'replica')}, and fewer than {least} are left alone")
        to = min(intent.to, observed.ceiling)
        if to < intent.to and size >= to:
            return Hold("AtMaximum", f"{name} has brought {plural(size, 'replica')} already, and may have {to} at most")
        if to <= original:
            return Hold(
                "AtMaximum", f"{name} has {plural(original, 'replica')}, and may have {observed.ceiling} at most"
            )
        return _move(observed, to, intent.evidence.reason)

    def next_change(
        self, remediation: Remediation, observed: ObservedState, recent: Sequence[TimedOutlook], now: float
    ) -> Next:
        """Raise the floor further, keep it, or release a step."""
        original = remediation.spec.intent.from_ or 0
        if observed.level <= original:
            return _end(remediation, observed)
        if observed.unattached is not None:
            return _move(observed, original, observed.unattached.message)
        if (undo_request := undo_requested(remediation)) is not None:
            return _move(observed, original, undo_request.message)
        over = _hold_over(remediation, recent, now)
        if over is None and (raised := self._raise(remediation, observed, recent, now)) is not None:
            return raised
        usual = self._release(remediation, observed, recent, now, over)
        if isinstance(usual, Change) or observed.stalled is None:
            return usual
        left = patience(remediation, observed.stalled, now)
        to = max(original, observed.level - observed.stalled.idle)
        if left <= 0 and to < observed.level:
            return _move(observed, to, f"{observed.level - to} of them {SERVE_NOBODY}: {observed.stalled.why.message}")
        if not observed.stalled.is_reported and left > 0:
            return usual
        return Hold(observed.stalled.why.reason, in_words(observed.stalled, left))

    def _release(
        self,
        remediation: Remediation,
        observed: ObservedState,
        recent: Sequence[TimedOutlook],
        now: float,
        over: str | None,
    ) -> Next:
        """Release a step, or say why none; `over` says why no more is waited for."""
        original = remediation.spec.intent.from_ or 0
        peak = original if over else _peak(recent, _terms(remediation).stabilization_window.seconds, now)
        if peak == 1:
            peak = 0  # no load needs one replica too: whether there is one at all, the autoscaler decides
        step = max(1, int(observed.level * RELEASE_SHARE))
        if peak is None or peak >= observed.level or original < observed.level - step < peak:
            return _keep(remediation, observed)
        pause = _pace(remediation, now)
        if pause > 0:
            return Hold("Releasing", f"the next replicas are removed in {format_duration(pause)}")
        lowest = max(original, peak)
        to = max(lowest, observed.level - step)
        return _move(observed, to, over or _agreed(remediation, lowest, recent[-1].outlook))

    def _raise(
        self, remediation: Remediation, observed: ObservedState, recent: Sequence[TimedOutlook], now: float
    ) -> Change | None:
        outlook = recent[-1].outlook if recent else None
        if outlook is None or outlook.replicas_forecast is None or has_helped(remediation) is False:
            return None
        if outlook.withdrawn or outlook.edited or observed.blocked or not may_add(remediation, observed.stalled, now):
            return None
        if not may_raise(remediation, recent):
            return None
        step = _terms(remediation).max_step or observed.ceiling
        to = min(outlook.replicas_forecast, observed.level + step, observed.ceiling)
        if to <= observed.level or outlook.replicas_forecast <= observed.level * (1 + RAISE_SHARE):
            return None
        return _move(observed, to, f"the forecast needs {plural(outlook.replicas_forecast, 'replica')}")

    async def write(self, cluster: Cluster, remediation: Remediation, observed: ObservedState, to: int) -> None:
        """Set the replicas, or the autoscaler's floor."""
        del remediation
        field = FIELDS.get(observed.subject.kind)
        if field is None:
            await cluster.write_scale(observed.subject, to, observed.resource_version)
        else:
            await cluster.patch(observed.subject, {"spec": {field: to}}, observed.resource_version)


def _terms(remediation: Remediation) -> ScaleAction:
    scale = remediation.spec.intent.action.scale
    if scale is None:
        raise ValueError(f"Remediation {remediation.name} is no scale-out")
    return scale


def _move(observed: ObservedState, to: int, because: str) -> Change:
    noun = FIELDS.get(observed.subject.kind, "replicas")
    description = f"{noun} of {title(observed.subject)}: {observed.level} -> {to}"
    return Change(to, description, because, increases=to > observed.level)


def _hold_over(remediation: Remediation, recent: Sequence[TimedOutlook], now: float) -> str | None:
    """Return why the floor is released even though the risk lasts, or is not known."""
    completed = condition_of(remediation, "Completed")
    start = seconds(completed.last_transition_time) if completed else None
    if start is not None and now >= start + _terms(remediation).hold_at_most.seconds:
        return "they were held for as long as the policy allows"
    silent = unverifiable(remediation, recent, now)
    return None if silent is None else silent.message


def _peak(recent: Sequence[TimedOutlook], window: float, now: float) -> int | None:
    """Return the most that observation or forecast needed in the last `window` s; None where any of it is unknown.

    While there was no forecast, the window is `OBSERVED_ALONE` at least, and the observation alone counts.
    """
    longest_gap = max(window / 2, 120.0)
    peak, later = 0, now
    for moment in reversed(recent):
        outlook = moment.outlook
        if not outlook.fresh or later - moment.at > longest_gap:
            return None
        if outlook.replicas_observed is None:
            return None
        if outlook.replicas_forecast is None:
            window = max(window, OBSERVED_ALONE)
        peak = max(peak, outlook.replicas_forecast or 0, outlook.replicas_observed)
        if moment.at <= now - window:
            return peak
        later = moment.at
    return None


def _pace(remediation: Remediation, now: float) -> float:
    """Return how long (s) the next release step must still wait."""
    steps = remediation.status.steps
    last = seconds(steps[-1].at) if steps else None
    interval = _terms(remediation).stabilization_window.seconds / RELEASE_STEPS
    return 0.0 if last is None else max(0.0, last + interval - now)


def _agreed(remediation: Remediation, lowest: int, outlook: RiskOutlook) -> str:
    window = _terms(remediation).stabilization_window
    if outlook.replicas_forecast is None:
        observed = format_duration(max(window.seconds, OBSERVED_ALONE))
        return f"there is no forecast, and observation has needed no more than {lowest} for {observed}"
    return f"observation and forecast have needed no more than {lowest} for {window}"


def _keep(remediation: Remediation, observed: ObservedState) -> Hold:
    name, window = title(observed.subject), _terms(remediation).stabilization_window
    if (total := looks_total(remediation)) is not None:
        return Hold(total.reason, f"{name} is held at {observed.level}: {total.message}")
    if has_helped(remediation) is False:
        suffix = " (the most it may have)" if observed.level >= observed.ceiling else ""
        return Hold(
            "NotHelped",
            f"{plural(observed.level, 'replica')} of {name}{suffix} did not lower the risk; kept while it lasts, "
            f"because fewer would not help either, and removed when observation and forecast have needed fewer for "
            f"{window}",
        )
    if observed.blocked is not None:
        return Hold(
            observed.blocked.reason,
            f"{name} is held at {observed.level} and raised no further: {observed.blocked.message}",
        )
    return Hold(
        "Holding",
        f"{name} is held at {observed.level}; replicas are removed when observation and forecast have needed fewer for "
        f"{window}",
    )


def _end(remediation: Remediation, observed: ObservedState) -> Outcome:
    name, pods = title(observed.subject), condition_of(remediation, PODS_READY)
    if observed.unattached is not None:
        return Outcome(
            "Aborted", observed.unattached.reason, f"{observed.unattached.message}; {name} is back at {observed.level}"
        )
    if (undo_request := undo_requested(remediation)) is not None:
        return Outcome("RolledBack", undo_request.reason, f"{undo_request.message}; {name} is back at {observed.level}")
    steps = remediation.status.steps
    in_vain = not has_helped(remediation) or (steps and SERVE_NOBODY in steps[-1].because)
    if pods is not None and pods.status == "False" and in_vain:
        return Outcome("RolledBack", pods.reason, f"{pods.message}; {name} is back at {observed.level}")
    if has_helped(remediation) is False:
        return Outcome("RolledBack", "NotHelped", f"the scale-out did not help; {name} is back at {observed.level}")
    if remediation.spec.restored is not None and not has_helped(remediation):
        return Outcome(
            "Aborted", "Deleted", f"somebody deleted it before it was verified; {name} is back at {observed.level}"
        )
    return Outcome("Succeeded", "Released", f"the risk is over; {name} is back at {observed.level}")
