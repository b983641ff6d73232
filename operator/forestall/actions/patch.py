"""Set one declared field of one object while a risk lasts, and set it back afterwards.

The value that was there is written into the step before the change. An annotation of the object carries the
UID of the Remediation, and tells together with `managedFields` whether the field still is as it was left: if somebody
else has set it since, it is theirs.

A patch that did not help is set back at once: unlike capacity, a changed setting is no help by itself, and the next
action must find the object as it was.
"""

import json
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
from forestall.actions.fields import get, put
from forestall.actions.merging import difference
from forestall.actions.ownership import field_owned, signer
from forestall.actions.rights import may_patch
from forestall.actions.rollout import KINDS, complete, obstacle, stuck
from forestall.actions.unfinished import find_unfinished
from forestall.actions.verdict import unverifiable
from forestall.actions.vertical import sized_by
from forestall.api.patch_action import PatchAction, refusal
from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.times import seconds
from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.traits import ActionTraits
from forestall.core.untrusted import get_path, mapping, parsing
from forestall.errors import InvalidInput, NotFound
from forestall.ports import Cluster, Reader, Right

Scalar = str | float | bool | None

PATCHED_BY: Final = "forestall.dev/patched-by"
_SIGNATURE: Final = ("metadata", "annotations", PATCHED_BY)
_LONGEST: Final = 1024
"""Longer values (characters) are not kept in a Remediation, and so not changed."""


class Patch:
    """The action `patch`."""

    traits: ClassVar[ActionTraits] = ActionTraits(
        name="Patch",
        scope="object",
        changes_cluster=True,
        disruption="rollout",
        changes_replicas=False,
        cause_label="",
        verification="indicator",
        lowers_risk=True,
        spent_for="objective",
        kept_while_at_risk=True,
        undo="set the field back to what was found, if it is still as this left it",
        allowed_by_default=True,
        chart_value="workloads.extraRules",
    )

    def rights(self, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
        """Return the right to patch the object."""
        del subject
        return (may_patch(target),)

    async def resolve_target(self, cluster: Reader, request: TargetRequest) -> ObjectRef | Hold:
        """Return the object, if its field is one that can be set and is not set so already."""
        if request.rung.patch is None:
            raise ValueError("the rung is no patch")
        action, target = request.rung.patch, request.rung.patch.target
        try:
            refused = await _refused(cluster, action)
        except NotFound:
            return NotApplicable(
                "ObjectMissing", f"the cluster knows no {target.kind} of {target.api_version} to patch"
            )
        if refused is not None:
            return NotApplicable(refused.reason, refused.message)
        ref = ObjectRef(
            api_version=target.api_version, kind=target.kind, namespace=request.workload.namespace, name=target.name
        )
        try:
            body = await cluster.read(ref)
        except NotFound:
            return NotApplicable("ObjectMissing", f"there is no {title(ref)} to patch")
        current = _current_value(body, ref, action)
        if isinstance(current, Hold):
            return NotApplicable(current.reason, current.message)
        if _text(current) == _text(action.wanted):
            return NotApplicable("AlreadySet", f"{action.field} of {title(ref)} is {_text(current)} already")
        if (owned := await sized_by(cluster, ref, action.path)) is not None:
            return NotApplicable(owned.reason, owned.message)
        hold = obstacle(body, ref) if _rolls_out(ref, action) else None
        return hold or ref.model_copy(update={"uid": str(body["metadata"]["uid"])})

    async def observe(self, cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
        """Return whether the field is as this remediation left it, and what it says."""
        ref, action = remediation.spec.intent.target, _action(remediation)
        body = await find_target(cluster, ref)
        if isinstance(body, Hold):
            return body
        is_done = get_path(body, *_SIGNATURE) == remediation.signature
        if is_done and signer(body, PATCHED_BY, action.path) is None:
            return Hold("Superseded", f"somebody else has set {action.field} of {title(ref)} since; it is left alone")
        rolls = _rolls_out(ref, action)
        hold = (
            None
            if is_done
            else await _refused(cluster, action)
            or (obstacle(body, ref) if rolls else None)
            or await sized_by(cluster, ref, action.path)
        )
        current: Scalar | Hold = hold or _current_value(body, ref, action)
        if isinstance(current, Hold):
            return current
        return ObservedState(
            level=int(is_done),
            subject=ref,
            resource_version=body["metadata"]["resourceVersion"],
            settled=not rolls or complete(body),
            failed=stuck(body) if rolls and is_done else None,
            unfinished=await find_unfinished(cluster, ref, body) if rolls and is_done else None,
            current_value=_text(current),
        )

    def first_change(self, remediation: Remediation, observed: ObservedState) -> Change | Hold:
        """Return the change."""
        action, intent = _action(remediation), remediation.spec.intent
        field_name, wanted = f"{action.field} of {title(observed.subject)}", _text(action.wanted)
        if observed.current_value == wanted:
            return Hold("AlreadySet", f"{field_name} is {wanted} already; nothing is changed")
        return Change(
            1, f"set {field_name}: {observed.current_value} -> {wanted}", intent.evidence.reason, increases=True
        )

    def next_change(
        self, remediation: Remediation, observed: ObservedState, recent: Sequence[TimedOutlook], now: float
    ) -> Next:
        """Keep the value while the risk lasts, and set it back."""
        field_name = f"{_action(remediation).field} of {title(observed.subject)}"
        why = _set_back(remediation, recent, now)
        if observed.level == 0:
            return _end(remediation, f"{field_name} is {observed.current_value} again", why)
        if why is None:
            window = _action(remediation).stabilization_window
            return Hold(
                "Holding", f"{field_name} stays {observed.current_value} until the risk has been gone for {window}"
            )
        return Change(
            0,
            f"set {field_name} back: {observed.current_value} -> {_before(remediation)}",
            why.message,
            increases=False,
        )

    async def write(self, cluster: Cluster, remediation: Remediation, observed: ObservedState, to: int) -> None:
        """Set the field and sign the object, or take back both."""
        action = _action(remediation)
        body = await cluster.read(observed.subject)
        value = action.wanted if to else json.loads(_before(remediation))
        with parsing(title(observed.subject)):
            changed = put(put(body, action.path, value), _SIGNATURE, remediation.signature if to else None)
        # The rest of the metadata, with `managedFields`, is not sent back.
        parts = [_part(version, action) for version in (body, changed)]
        await cluster.patch(observed.subject, difference(*parts), observed.resource_version)


def _action(remediation: Remediation) -> PatchAction:
    action = remediation.spec.intent.action.patch
    if action is None:
        raise ValueError(f"Remediation {remediation.name} is no patch")
    return action


async def _refused(cluster: Reader, action: PatchAction) -> Hold | None:
    """Return why the action must not be done, whatever it finds."""
    message, target = refusal(action), action.target
    if message is not None:
        return Hold("PatchRefused", message)
    served = await cluster.serves(target.api_version, target.kind)
    if not served.namespaced:
        return Hold("PatchRefused", f"a {target.kind} is in no namespace: a policy changes what is in its own")
    if served.plural != target.resource:
        message = f"rights know a {target.kind} as {served.plural}, and not as {target.resource}, which the policy says"
        return Hold("PatchRefused", message)
    return None


def _current_value(body: Mapping[str, Any], ref: ObjectRef, action: PatchAction) -> Scalar | Hold:
    """Return the value that is there, None where the field is not set, or why it is not to be changed."""
    try:
        value = get(body, action.path)
    except InvalidInput as error:
        return Hold("FieldMissing", f"{action.field} of {title(ref)}: {error}")
    if isinstance(value, dict | list) or len(_text(value)) > _LONGEST:
        return Hold(
            "FieldMissing", f"{action.field} of {title(ref)} is no single value of {_LONGEST} characters at most"
        )
    hold = obstacle(body, ref) if _rolls_out(ref, action) else None
    return field_owned(body, ref, action.path) or hold or value


def _rolls_out(ref: ObjectRef, action: PatchAction) -> bool:
    return ref.kind in KINDS and action.path[:2] == ("spec", "template")


def _part(body: Mapping[str, Any], action: PatchAction) -> dict[str, Any]:
    annotations = {"metadata": {"annotations": mapping(get_path(body, *_SIGNATURE[:-1]))}}
    return (
        annotations
        if action.path[0] == "metadata"
        else {**annotations, action.path[0]: mapping(body.get(action.path[0]))}
    )


def _before(remediation: Remediation) -> str:
    """Return the value that was found, as JSON."""
    return next(step.previous for step in reversed(remediation.status.steps) if step.to == 1)


def _text(value: Scalar) -> str:
    return json.dumps(value, ensure_ascii=False)


def _set_back(remediation: Remediation, recent: Sequence[TimedOutlook], now: float) -> Hold | None:
    """Return why the field is set back; None while it is kept."""
    action, status = _action(remediation), remediation.status
    if (undo_request := undo_requested(remediation)) is not None:
        return undo_request
    completed = condition_of(remediation, "Completed")
    if completed is not None and completed.status == "False":
        return Hold(completed.reason, completed.message)
    if has_helped(remediation) is False:
        return Hold("NotHelped", "it did not lower the risk")
    if recent and recent[-1].outlook.withdrawn is not None:
        return recent[-1].outlook.withdrawn
    if now >= (seconds(status.completed) or now) + action.hold_at_most.seconds:
        return Hold("DeadlineExceeded", f"it was kept for {action.hold_at_most}, the longest that the policy allows")
    calm = seconds(status.calm_since)
    if calm is not None and now - calm >= action.stabilization_window.seconds:
        return Hold("Released", f"the risk has been gone for {format_duration(now - calm)}")
    return unverifiable(remediation, recent, now)


def _end(remediation: Remediation, message: str, why: Hold | None) -> Outcome:
    if has_helped(remediation) and undo_requested(remediation) is None:
        return Outcome("Succeeded", "Released", f"the risk has fallen; {message}")
    if why is None:
        return Outcome("RolledBack", "Released", message)
    return Outcome("RolledBack", why.reason, f"{message}: {why.message}")
