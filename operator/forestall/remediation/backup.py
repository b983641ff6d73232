"""What is remembered of Remediations beside themselves, so that one that somebody deletes takes nothing away; pure.

A Remediation is the only place that knows what was there before a floor was raised or a field was set, and cooldowns,
locks and the ladder rest on those that have ended. So what rests on one is kept in its objective's status as well, and
one that is deleted is written again from there: as it was, where it had ended; to be reverted, where it held
something. It has another UID then, and `spec.restored` says which one it had.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from pydantic import ValidationError

from forestall.actions import Outcome, has_helped, traits_of
from forestall.actions.base import condition_of, title
from forestall.api.meta import API_VERSION, Condition
from forestall.api.remediation import Feedback, Intent, Remediation, RemediationStatus, Restored, Undo
from forestall.api.service_level_objective import MOST_RECORDS, Record
from forestall.api.times import stamp
from forestall.core.untrusted import mapping
from forestall.remediation.names import name_of
from forestall.remediation.retention import RetentionNeeds, still_needed
from forestall.remediation.status_updates import completed_condition, moved, with_condition

LOST: Final = Outcome(
    "Aborted", "Deleted", "it was deleted, and what it had done is not known any more; nothing is done by it"
)
_RESTORED: Final = "Restored"
_PODS: Final = 32
"""More pods are not kept: then all series speak of what was done, as where they are not known."""
_WORDS: Final = 240
"""So many characters are kept of what is only for people."""
_LONGEST: Final = 32768
"""How many characters a record may have: a longer one is left out, and keeps no other from being written."""
_STEPS: Final = 2
"""The last change, and the one before, of which it may be the way back."""


def to_back_up(group: Collection[Remediation], needs: RetentionNeeds, now: float) -> list[Remediation]:
    """Return those of one objective's remediations that must outlive being deleted, the most needed first."""
    live = [remediation for remediation in group if not remediation.ended and remediation.status.steps]
    return [*live, *still_needed(group, needs, now)]


def to_records(remediations: Iterable[Remediation]) -> list[Record]:
    """Return the records of these remediations, as many as there is room for."""
    records = map(_record, remediations)
    return [record for record in records if record is not None][:MOST_RECORDS]


def from_records(records: Iterable[Record], objective_uid: str, namespace: str) -> list[Remediation]:
    """Return the remediations of an objective as its records have them; what does not fit it is left out."""
    parsed = (_read(record, namespace) for record in records)
    return [copy for copy in parsed if copy is not None and _is_of(copy, objective_uid, namespace)]


def restored_body(remediation: Remediation) -> dict[str, Any]:
    """Return what is created in place of a remediation that was deleted."""
    restored = Restored(uid=remediation.signature, feedback=remediation.feedback, undo=remediation.undo)
    body = draft_of(remediation.spec.intent)
    return {**body, "spec": {**body["spec"], "restored": restored.dump()}}


def restored_status(remediation: Remediation, now: float) -> RemediationStatus:
    """Return the status of a remediation that is written again: what it held is reverted, and no more is done.

    A node that it held is reverted by itself, as its annotation tells that nobody holds it.
    """
    message = f"somebody deleted it in the phase {remediation.status.phase}, and something rests on it"
    status = with_condition(remediation.status, Condition.since(now, _RESTORED, "True", "Deleted", message))
    if not status.since:
        status = status.model_copy(update={"since": stamp(now)})
    intent = remediation.spec.intent
    if remediation.ended:
        return status
    if intent.target.kind == "Node":
        reverted = f"somebody deleted it; {title(intent.target)} takes pods again, if nobody else holds it"
        helped = has_helped(remediation) is not False
        return (
            moved(status, "Aborted", "Deleted", reverted, now)
            if helped
            else moved(status, "RolledBack", traits_of(intent.action).reason_still_at_risk, reverted, now)
        )
    if not traits_of(intent.action).kept_while_at_risk:
        return status
    if condition_of(remediation, "Completed") is None:
        status = with_condition(status, completed_condition("False", "Deleted", message, now))
        status = status.model_copy(update={"completed": status.completed or stamp(now)})  # it is judged from now on
    reverting = "somebody deleted it; what it changed is reverted as usual, and nothing more is done by it"
    return moved(status, "RollingBack", "Deleted", reverting, now)


def draft_of(intent: Intent) -> dict[str, Any]:
    """Return the Remediation as it is when `intent` has just been written down, in the objective's namespace."""
    return {
        "apiVersion": API_VERSION,
        "kind": Remediation.KIND,
        "metadata": {
            "name": name_of(intent),
            "namespace": intent.objective.namespace,
            "labels": {
                "forestall.dev/action": intent.action.name,
                "forestall.dev/policy-uid": intent.policy.uid,
                "forestall.dev/objective-uid": intent.objective.uid,
            },
        },
        "spec": {"intent": intent.dump()},
    }


def _record(remediation: Remediation) -> Record | None:
    """Return the record of a remediation; None where it is too long."""
    evidence = remediation.spec.intent.evidence
    pods = evidence.pods if len(evidence.pods) <= _PODS else []
    short = evidence.model_copy(update={"pods": pods, "reason": evidence.reason[:_WORDS]})
    body = {
        "intent": remediation.spec.intent.model_copy(update={"evidence": short}).dump(),
        "status": _shortened(remediation.status).dump(),
        **({"feedback": remediation.feedback.dump()} if remediation.feedback else {}),
        **({"undo": remediation.undo.dump()} if remediation.undo else {}),
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if len(text) > _LONGEST:
        return None
    steps = remediation.status.steps
    return Record(
        name=remediation.name,
        uid=remediation.signature,
        phase=remediation.status.phase,
        change=steps[-1].change[:_WORDS] if steps else "",
        body=text,
    )


def _shortened(status: RemediationStatus) -> RemediationStatus:
    conditions = [
        condition.model_copy(update={"message": condition.message[:_WORDS]}) for condition in status.conditions
    ]
    steps = [
        step.model_copy(update={"because": step.because[:_WORDS], "change": step.change[:_WORDS]})
        for step in status.steps[-_STEPS:]
    ]
    return status.model_copy(update={"conditions": conditions, "steps": steps, "message": status.message[:_WORDS]})


def _read(record: Record, namespace: str) -> Remediation | None:
    try:
        body = json.loads(record.body)
        content = mapping(body)
        restored = Restored(
            uid=record.uid,
            feedback=Feedback.model_validate(content["feedback"]) if "feedback" in content else None,
            undo=Undo.model_validate(content["undo"]) if "undo" in content else None,
        )
        return Remediation.read(
            {
                "metadata": {"name": record.name, "namespace": namespace, "uid": record.uid},
                "spec": {"intent": content.get("intent"), "restored": restored.dump()},
                "status": content.get("status"),
            }
        )
    except (ValueError, RecursionError, ValidationError):
        return None


def _is_of(remediation: Remediation, objective_uid: str, namespace: str) -> bool:
    """Say whether a record is what the operator writes: about this objective, and about nothing elsewhere."""
    intent = remediation.spec.intent
    touched: Sequence[str] = [step.subject.namespace for step in remediation.status.steps if step.subject is not None]
    namespaces = {intent.objective.namespace, intent.policy.namespace, intent.target.namespace, *touched}
    return (
        intent.objective.uid == objective_uid
        and remediation.name == name_of(intent)
        and namespaces <= ({namespace, ""} if intent.target.kind == "Node" else {namespace})
    )
