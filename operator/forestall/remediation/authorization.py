"""Whether an intent that has changed nothing yet may go ahead now."""

from dataclasses import dataclass
from typing import Final

from forestall.actions import Outcome, RiskOutlook
from forestall.actions.base import condition_of, undo_requested
from forestall.api.remediation import Remediation
from forestall.api.times import readable, seconds
from forestall.core.decision import Hold
from forestall.core.duration import format_duration

CALM: Final = 120.0
"""A risk that is gone for this long (s), or for what the outlook says, needs no action any more; a shorter lull only
delays it. The engine says how long it takes until an episode is over: what is given up sooner could not be decided
again in it."""


@dataclass(frozen=True, slots=True)
class ApprovalRequired:
    """A person must decide first."""

    message: str


def authorize(
    remediation: Remediation, outlook: RiskOutlook | None, now: float
) -> Outcome | ApprovalRequired | Hold | None:
    """Return why the intent ends, waits for a person or for the world; None where only the guards are left.

    `remediation.status.calm_since` must be up to date.
    """
    return _ended(remediation, outlook, now) or _unapproved(remediation) or _calm(remediation) or _unknown(outlook)


def _ended(remediation: Remediation, outlook: RiskOutlook | None, now: float) -> Outcome | None:
    spec, intent = remediation.spec, remediation.spec.intent
    if spec.approval is not None and spec.approval.decision == "Rejected":
        comment = f": {spec.approval.comment}" if spec.approval.comment else ""
        return Outcome(
            "Aborted", "Rejected", f"{spec.approval.by or 'somebody'} rejected it{comment}; nothing was changed"
        )
    if (undo := undo_requested(remediation)) is not None:
        return Outcome("Aborted", undo.reason, f"{undo.message}; nothing was changed")
    no_longer_wanted = outlook and (outlook.withdrawn or outlook.edited)
    if no_longer_wanted:
        return Outcome("Aborted", no_longer_wanted.reason, f"{no_longer_wanted.message}; nothing was changed")
    if intent.mode == "Observe":
        return Outcome("Aborted", "ObserveOnly", "the policy's mode was Observe: nothing may be done")
    deadline = seconds(intent.deadline)
    if deadline is None or now >= deadline:
        because = f" ({remediation.status.message})" if remediation.status.message else ""
        return Outcome("Aborted", "DeadlineExceeded", f"it could not be done before its deadline{because}")
    expires = seconds(intent.approval_expires)
    if intent.mode == "Approve" and not _is_approved(remediation) and (expires is None or now >= expires):
        return Outcome(
            "Aborted",
            "ApprovalExpired",
            f"nobody approved it before {readable(intent.approval_expires)}; nothing was changed",
        )
    calm = seconds(remediation.status.calm_since)
    enough = CALM if outlook is None or outlook.calm is None else outlook.calm
    if calm is not None and now - calm >= enough:
        return Outcome(
            "Aborted", "RiskGone", f"the risk has been gone for {format_duration(enough)}; nothing was changed"
        )
    return None


def _is_approved(remediation: Remediation) -> bool:
    """Say whether an approval was seen in time, and so is on record."""
    approval = condition_of(remediation, "Approved")
    return approval is not None and approval.status == "True"


def newly_approved(remediation: Remediation, now: float) -> bool:
    """Say whether a person's approval is there, and was not on record yet, before it expires.

    What counts is when it is seen: the time that a person wrote next to it proves nothing.
    """
    approval, expires = remediation.spec.approval, seconds(remediation.spec.intent.approval_expires)
    return (
        approval is not None
        and approval.decision == "Approved"
        and not _is_approved(remediation)
        and expires is not None
        and now < expires
    )


def _unapproved(remediation: Remediation) -> ApprovalRequired | None:
    if remediation.spec.intent.mode != "Approve" or _is_approved(remediation):
        return None
    name, namespace = remediation.name, remediation.namespace
    return ApprovalRequired(
        f"waits for approval until {readable(remediation.spec.intent.approval_expires)}: "
        f"`kubectl forestall approve {name} -n {namespace}` or `kubectl forestall reject {name} -n {namespace}`"
    )


def _calm(remediation: Remediation) -> Hold | None:
    if remediation.status.calm_since is None:
        return None
    return Hold(
        "RiskGone",
        f"the risk is gone since {readable(remediation.status.calm_since)}; it is watched before it is given up",
    )


def _unknown(outlook: RiskOutlook | None) -> Hold | None:
    if outlook is None or not outlook.fresh:
        return Hold("DataNotFresh", "there is no fresh data about the risk: nothing is changed without it")
    return None
