"""What comes in the place of a rung that can do nothing.

A rung that will not be tried must not hold the ladder: an objective would stay at risk, and nobody would hear of it. A
stronger action is no answer to what people have set up so, to a right that is missing, or to what was decided already;
that people are told is. Where a scale-out has all that it may have, what comes next in the ladder is the answer, except
for a restart of what serves while a breach is only forecast.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from forestall.actions import ACTIONS, NotApplicable
from forestall.api import Remediation
from forestall.core.decision import Act, Hold
from forestall.core.plan import RungSpec, TargetScale, matching_rungs
from forestall.core.risk import Signal
from forestall.engine import policy_limits

_NEXT: Final = frozenset({"AtMaximum", "NotScalable"})
"""The next rung is asked, whatever it is."""
_PEOPLE: Final = frozenset(
    {
        *("AlreadyDecided", "Forbidden", "BelowMinimum", "DesiredReplicasUnknown", "IndicatorIsTotal"),
        *("AmbiguousAutoscaler", "FieldOwned", "OwnedByController", "ScaledByKeda", "TargetPaused", "NotRestartable"),
        *("NotAllowed", "Protected", "DisruptionNotAllowed", "DisruptionUnknown"),
        *("NodesUnknown", "TooManyNodesCordoned", "LastNode", "ControlPlane", "InsufficientCapacity"),
    }
)
"""Only rungs that tell people are asked. What passes by itself, or is meant to be quiet, is in neither."""
_AT_ONCE: Final = frozenset({"NotScalable", "Forbidden"})
"""What nothing that is under way can change."""
_LOOKED: Final = frozenset({"Rejected", "UndoRequested"})
"""Why a remediation ended that a person has looked at: they know."""


def without(
    spent: frozenset[int], rungs: Sequence[RungSpec], cause: Signal, why: Hold, size: TargetScale
) -> frozenset[int] | None:
    """Return the rungs that are out of the question where the first open one can do nothing; None where it holds.

    `why` says so, and `size` is that of the target.
    """
    if isinstance(why, NotApplicable) or why.reason in _NEXT:
        left = spent | {next(n for n in matching_rungs(rungs, cause) if n not in spent)}
        if why.reason != "AtMaximum" or cause.breached:
            return left
        # What serves at its most is not taken away because more is only forecast to be needed.
        return left | {
            number for number, rung in enumerate(rungs) if ACTIONS[rung.action].traits.disruption == "workload"
        }
    if why.reason in _PEOPLE or (why.reason == "SufficientReplicas" and cause.breached and _all_serve(size)):
        return spent | {number for number, rung in enumerate(rungs) if ACTIONS[rung.action].traits.changes_cluster}
    return None


def gives_way(why: Hold, related: Collection[Remediation]) -> bool:
    """Say whether the next rungs may be asked at all: what is under way for the objective has its time first."""
    return (
        isinstance(why, NotApplicable)
        or why.reason in _AT_ONCE
        or not any(policy_limits.is_in_the_way(remediation) for remediation in related)
    )


def decided(related: Collection[Remediation], name: str) -> Hold | None:
    """Return that the Remediation of this name has ended in this episode, unless a person looked at that."""
    ended = next((remediation for remediation in related if remediation.name == name and remediation.ended), None)
    if ended is None or ended.status.reason in _LOOKED:
        return None
    message = f"{ended.name} was decided in this episode already and ended: {ended.status.phase}, {ended.status.reason}"
    return Hold("AlreadyDecided", message)


def instead(act: Act, why: Hold | None, risk: str) -> Act:
    """Return what tells people so that it says, after the `risk`, why nothing else is done."""
    if why is None or ACTIONS[act.action].traits.changes_cluster:
        return act
    return replace(act, message=f"{act.message}; {why.message.removeprefix(f'{risk}, ').removeprefix('but ')}")


def as_total(act: Act | Hold, total: Hold | None) -> Hold | None:
    """Return why nothing is scaled, where what was added showed that the indicator looks like a `total`."""
    if isinstance(act, Act) and not ACTIONS[act.action].traits.changes_replicas:
        return None
    if total is None or (
        isinstance(act, Hold) and act.reason not in {"AtMaximum", "SufficientReplicas", "LadderExhausted"}
    ):
        return None
    if act.reason == "LadderExhausted":  # of which people are told
        return Hold(act.reason, f"{act.message}. {total.message}")
    return total


def _all_serve(size: TargetScale) -> bool:
    return size.ready is not None and size.replicas is not None and size.ready >= size.replicas
