"""What actions on nodes share: a node is marked as unschedulable, and uncordoned when it has been healthy for a while.

One patch sets `spec.unschedulable` and an annotation with the UID of the Remediation; giving it back removes both.
A node that somebody else cordoned is never touched: neither before nor after.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from forestall.actions.base import (
    Change,
    Next,
    NotApplicable,
    ObservedState,
    Outcome,
    TargetRequest,
    TimedOutlook,
    condition_of,
    find_target,
    has_helped,
    title,
    undo_requested,
)
from forestall.actions.ownership import signer
from forestall.actions.rights import may_patch
from forestall.api.meta import Condition
from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.times import readable, seconds
from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.traits import ActionTraits
from forestall.core.untrusted import get_path
from forestall.errors import NotFound
from forestall.ports import Reader, Right, Writer

CORDONED_BY: Final = "forestall.dev/cordoned-by"
_FIELD: Final = ("spec", "unschedulable")


class NodeAction:
    """The base of actions that cordon a node: they differ in what they do while it is theirs."""

    traits: ClassVar[ActionTraits]
    _verb: ClassVar[str]
    _contained: ClassVar[str]
    """What the action achieved where the node stayed at risk, as a clause."""

    def rights(self, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
        """Return the right to patch the node."""
        del subject
        return (may_patch(target),)

    async def resolve_target(self, cluster: Reader, request: TargetRequest) -> ObjectRef | Hold:
        """Return the node that the indicator's label `node` names."""
        name = request.labels.get(self.traits.cause_label)
        if name is None:
            return NotApplicable("NodeUnknown", f"its series has no label `node` that says which node to {self._verb}")
        ref = ObjectRef(api_version="v1", kind="Node", name=name)
        try:
            body = await cluster.read(ref)
        except NotFound:
            return NotApplicable("NodeUnknown", f"there is no node {name}, which the indicator's label `node` names")
        return ref.model_copy(update={"uid": str(body["metadata"]["uid"])})

    async def observe(self, cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
        """Return whether the node is cordoned by this remediation."""
        target = remediation.spec.intent.target
        body = await find_target(cluster, target)
        if isinstance(body, Hold):
            return body
        holder = holder_of(body)
        ours = holder == remediation.signature
        if not ours and get_path(body, *_FIELD):
            if holder is None:
                return Hold("AlreadyCordoned", f"{title(target)} was cordoned by somebody else; it is left as it is")
            # What did not help is taken over by the next rung: no more than one in the way may touch a node.
            if any(step.done for step in remediation.status.steps):
                return Hold(
                    "TakenOver", f"{title(target)} is held by another remediation since; it is left to that one"
                )
        return ObservedState(level=int(ours), subject=target, resource_version=body["metadata"]["resourceVersion"])

    def first_change(self, remediation: Remediation, observed: ObservedState) -> Change | Hold:
        """Return the cordon."""
        return Change(
            1, f"{self._verb} {title(observed.subject)}", remediation.spec.intent.evidence.reason, increases=True
        )

    def next_change(
        self, remediation: Remediation, observed: ObservedState, recent: Sequence[TimedOutlook], now: float
    ) -> Next:
        """Give the node back when it has been healthy for long enough, or at the deadline."""
        del recent
        name = title(observed.subject)
        intent, healthy = remediation.spec.intent, _healthy_for(remediation)
        over = now >= (seconds(intent.deadline) or now)
        undone = undo_requested(remediation) or _undone(remediation)
        if observed.level == 0:
            if undone is not None:
                return Outcome("RolledBack", undone.reason, f"{name} takes pods again: {undone.message}")
            return _end(remediation, name, self._contained, over=over)
        if undone is not None:
            return Change(0, f"uncordon {name}", undone.message, increases=False)
        calm = seconds(remediation.status.calm_since)
        if calm is not None and now - calm >= healthy:
            return Change(0, f"uncordon {name}", f"it has been healthy for {format_duration(healthy)}", increases=False)
        if over:
            return Change(0, f"uncordon {name}", "its time is over, although the risk has not gone", increases=False)
        return Hold(
            "Holding" if has_helped(remediation) is not False else self.traits.reason_still_at_risk,
            f"{name} stays cordoned until it has been healthy for {format_duration(healthy)}, "
            f"at most until {readable(intent.deadline)}",
        )

    async def write(self, cluster: Writer, remediation: Remediation, observed: ObservedState, to: int) -> None:
        """Cordon the node and sign it, or take back both."""
        patch = {
            "metadata": {"annotations": {CORDONED_BY: remediation.signature if to else None}},
            "spec": {"unschedulable": True if to else None},
        }
        await cluster.patch(observed.subject, patch, observed.resource_version)


def holder_of(node: Mapping[str, Any]) -> str | None:
    """Return the UID of the remediation that cordoned the node, if nobody else has cordoned it since."""
    return signer(node, CORDONED_BY, _FIELD) if get_path(node, *_FIELD) else None


def _healthy_for(remediation: Remediation) -> float:
    rung = remediation.spec.intent.action
    action = rung.cordon or rung.drain
    if action is None:
        raise ValueError(f"Remediation {remediation.name} cordons no node")
    return action.healthy_for.seconds


def _undone(remediation: Remediation) -> Condition | None:
    """Return why what was begun is uncordoned before it was complete."""
    completed = condition_of(remediation, "Completed")
    return completed if completed is not None and completed.status == "False" else None


def _end(remediation: Remediation, name: str, contained: str, *, over: bool) -> Outcome:
    helped = has_helped(remediation)
    if over and helped is not False:
        return Outcome("RolledBack", "DeadlineExceeded", f"{name} takes pods again: its time was over")
    if helped:
        return Outcome("Succeeded", "Released", f"{name} has been healthy again and takes pods")
    return Outcome("RolledBack", "Contained", f"while {name} was at risk, {contained}; it takes pods again")
