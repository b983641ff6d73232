"""Decides which rungs of a ladder may follow a rung that can do nothing.

A rung that can't be tried must not block the ladder, or the objective stays at risk and nobody is notified. Where the
reason is a setting, a missing permission or an earlier decision, only rungs that notify people may follow: a stronger
action is no answer to these. Where a scale-out is at its maximum, the next rung follows, except a restart of serving
pods while a breach is only forecast.
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
"""Reasons after which any next rung may follow."""
_PEOPLE: Final = frozenset(
    {
        *("AlreadyDecided", "Forbidden", "BelowMinimum", "DesiredReplicasUnknown", "IndicatorIsTotal"),
        *("AmbiguousAutoscaler", "FieldOwned", "OwnedByController", "ScaledByKeda", "TargetPaused", "NotRestartable"),
        *("NotAllowed", "Protected", "DisruptionNotAllowed", "DisruptionUnknown"),
        *("NodesUnknown", "TooManyNodesCordoned", "LastNode", "ControlPlane", "InsufficientCapacity"),
    }
)
"""Reasons after which only rungs that notify people may follow. Reasons that pass by themselves, or that are meant to
be silent, are in neither set.
"""
_AT_ONCE: Final = frozenset({"NotScalable", "Forbidden"})
"""Reasons that no remediation under way can change."""
_LOOKED: Final = frozenset({"Rejected", "UndoRequested"})
"""Final reasons of remediations that a person ended, and so knows about."""


def rungs_to_skip(
    spent: frozenset[int], rungs: Sequence[RungSpec], cause: Signal, why: Hold, size: TargetScale
) -> frozenset[int] | None:
    """Return the rungs to skip because the first open one can do nothing; None where that one holds the ladder.

    `why` is the hold of that rung, and `size` the size of the target.
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


def may_try_next(why: Hold, related: Collection[Remediation]) -> bool:
    """Say whether next rungs may be tried at all: a remediation under way for the objective is awaited first."""
    return (
        isinstance(why, NotApplicable)
        or why.reason in _AT_ONCE
        or not any(policy_limits.is_in_the_way(remediation) for remediation in related)
    )


def decided(related: Collection[Remediation], name: str) -> Hold | None:
    """Return the hold that the Remediation of this name has ended in this episode; None where a person ended it."""
    ended = next((remediation for remediation in related if remediation.name == name and remediation.ended), None)
    if ended is None or ended.status.reason in _LOOKED:
        return None
    message = f"{ended.name} was decided in this episode already and ended: {ended.status.phase}, {ended.status.reason}"
    return Hold("AlreadyDecided", message)


def mark_fallback(act: Act, why: Hold | None, risk: str) -> Act:
    """Return the notifying action with a message that says, after the `risk`, why nothing else is done."""
    if why is None or ACTIONS[act.action].traits.changes_cluster:
        return act
    return replace(act, message=f"{act.message}; {why.message.removeprefix(f'{risk}, ').removeprefix('but ')}")


def hold_if_total(act: Act | Hold, total: Hold | None) -> Hold | None:
    """Return the hold of a scale-out after which the indicator turned out to look like a `total`."""
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
