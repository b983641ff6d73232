"""Set one declared field of one object while a risk lasts, and set it back afterwards.

The value that was there is written into the step before the change. An annotation of the object carries the
UID of the Remediation, and tells together with `managedFields` whether the field still is as it was left: if somebody
else has set it since, it is theirs.

A patch that did not help is set back at once: unlike capacity, a changed setting is no help by itself, and the next
action must find the world as it was.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from forestall.actions.base import (
    Aim,
    End,
    Moment,
    Move,
    Next,
    Unsuited,
    World,
    asked_back,
    find_target,
    title,
    verified,
)
from forestall.actions.fields import get, put
from forestall.actions.merging import difference
from forestall.actions.ownership import field_owned, signer
from forestall.actions.rights import may_patch
from forestall.actions.rollout import KINDS, complete, obstacle, stuck
from forestall.actions.verdict import unjudged
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

    async def aim(self, cluster: Reader, aim: Aim) -> ObjectRef | Hold:
        """Return the object, if its field is one that can be set and is not set so already."""
        if aim.rung.patch is None:
            raise ValueError("the rung is no patch")
        action, target = aim.rung.patch, aim.rung.patch.target
        try:
            refused = await _refused(cluster, action)
        except NotFound:
            return Unsuited("ObjectMissing", f"the cluster knows no {target.kind} of {target.api_version} to patch")
        if refused is not None:
            return Unsuited(refused.reason, refused.message)
        ref = ObjectRef(
            api_version=target.api_version, kind=target.kind, namespace=aim.workload.namespace, name=target.name
        )
        try:
            body = await cluster.read(ref)
        except NotFound:
            return Unsuited("ObjectMissing", f"there is no {title(ref)} to patch")
        found = _found(body, ref, action)
        if isinstance(found, Hold):
            return Unsuited(found.reason, found.message)
        if _text(found) == _text(action.wanted):
            return Unsuited("AlreadySet", f"{action.field} of {title(ref)} is {_text(found)} already")
        if (owned := await sized_by(cluster, ref, action.path)) is not None:
            return Unsuited(owned.reason, owned.message)
        held = obstacle(body, ref) if _rolls_out(ref, action) else None
        return held or ref.model_copy(update={"uid": str(body["metadata"]["uid"])})

    async def look(self, cluster: Reader, remediation: Remediation) -> World | Hold:
        """Return whether the field is as this remediation left it, and what it says."""
        ref, action = remediation.spec.intent.target, _action(remediation)
        body = await find_target(cluster, ref)
        if isinstance(body, Hold):
            return body
        done = get_path(body, *_SIGNATURE) == remediation.signature
        if done and signer(body, PATCHED_BY, action.path) is None:
            return Hold("Superseded", f"somebody else has set {action.field} of {title(ref)} since; it is left alone")
        rolls = _rolls_out(ref, action)
        held = (
            None
            if done
            else await _refused(cluster, action)
            or (obstacle(body, ref) if rolls else None)
            or await sized_by(cluster, ref, action.path)
        )
        found: Scalar | Hold = held or _found(body, ref, action)
        if isinstance(found, Hold):
            return found
        return World(
            level=int(done),
            subject=ref,
            resource_version=body["metadata"]["resourceVersion"],
            settled=not rolls or complete(body),
            failed=stuck(body) if rolls and done else None,
            found=_text(found),
        )

    def begin(self, remediation: Remediation, world: World) -> Move | Hold:
        """Return the change."""
        action, intent = _action(remediation), remediation.spec.intent
        what, wanted = f"{action.field} of {title(world.subject)}", _text(action.wanted)
        if world.found == wanted:
            return Hold("AlreadySet", f"{what} is {wanted} already; nothing is changed")
        return Move(1, f"set {what}: {world.found} -> {wanted}", intent.evidence.reason, raises=True)

    def carry_on(self, remediation: Remediation, world: World, recent: Sequence[Moment], now: float) -> Next:
        """Keep the value while the risk lasts, and set it back."""
        what = f"{_action(remediation).field} of {title(world.subject)}"
        why = _set_back(remediation, recent, now)
        if world.level == 0:
            return _end(remediation, f"{what} is {world.found} again", why)
        if why is None:
            window = _action(remediation).stabilization_window
            return Hold("Holding", f"{what} stays {world.found} until the risk has been gone for {window}")
        return Move(0, f"set {what} back: {world.found} -> {_before(remediation)}", why.message, raises=False)

    async def write(self, cluster: Cluster, remediation: Remediation, world: World, to: int) -> None:
        """Set the field and sign the object, or take back both."""
        action = _action(remediation)
        body = await cluster.read(world.subject)
        value = action.wanted if to else json.loads(_before(remediation))
        with parsing(title(world.subject)):
            changed = put(put(body, action.path, value), _SIGNATURE, remediation.signature if to else None)
        # The rest of the metadata, with `managedFields`, is not sent back.
        parts = [_part(each, action) for each in (body, changed)]
        await cluster.patch(world.subject, difference(*parts), world.resource_version)


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
        words = f"rights know a {target.kind} as {served.plural}, and not as {target.resource}, which the policy says"
        return Hold("PatchRefused", words)
    return None


def _found(body: Mapping[str, Any], ref: ObjectRef, action: PatchAction) -> Scalar | Hold:
    """Return the value that is there, None where the field is not set, or why it is not to be changed."""
    try:
        value = get(body, action.path)
    except InvalidInput as error:
        return Hold("FieldMissing", f"{action.field} of {title(ref)}: {error}")
    if isinstance(value, dict | list) or len(_text(value)) > _LONGEST:
        return Hold(
            "FieldMissing", f"{action.field} of {title(ref)} is no single value of {_LONGEST} characters at most"
        )
    held = obstacle(body, ref) if _rolls_out(ref, action) else None
    return field_owned(body, ref, action.path) or held or value


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
    return next(step.found for step in reversed(remediation.status.steps) if step.to == 1)


def _text(value: Scalar) -> str:
    return json.dumps(value, ensure_ascii=False)


def _set_back(remediation: Remediation, recent: Sequence[Moment], now: float) -> Hold | None:
    """Return why the field is set back; None while it is kept."""
    action, status = _action(remediation), remediation.status
    if (asked := asked_back(remediation)) is not None:
        return asked
    if verified(remediation) is False:
        return Hold("NotHelped", "it did not lower the risk")
    if recent and recent[-1].outlook.withdrawn is not None:
        return recent[-1].outlook.withdrawn
    if now >= (seconds(status.completed) or now) + action.hold_at_most.seconds:
        return Hold("DeadlineExceeded", f"it was kept for {action.hold_at_most}, the longest that the policy allows")
    calm = seconds(status.calm_since)
    if calm is not None and now - calm >= action.stabilization_window.seconds:
        return Hold("Released", f"the risk has been gone for {format_duration(now - calm)}")
    return unjudged(remediation, recent, now)


def _end(remediation: Remediation, done: str, why: Hold | None) -> End:
    if verified(remediation) and asked_back(remediation) is None:
        return End("Succeeded", "Released", f"the risk has fallen; {done}")
    if why is None:
        return End("RolledBack", "Released", done)
    return End("RolledBack", why.reason, f"{done}: {why.message}")
