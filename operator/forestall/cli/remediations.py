"""Remediations in words: what they do, and where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forestall.cli.words import ago, clock, until

if TYPE_CHECKING:
    from forestall.api import Remediation
    from forestall.api.remediation import Step

PHASES: Final = {
    "Pending": "it is decided, not begun",
    "AwaitingApproval": "a person has to approve it",
    "Authorized": "it is about to be done",
    "Executing": "it is being done",
    "Verifying": "it is done; the risk is watched, whether it falls",
    "RollingBack": "it is being undone",
    "Succeeded": "it helped",
    "RolledBack": "it was undone",
    "Failed": "it could not be done or undone",
    "Aborted": "it was given up",
}
STYLES: Final = {"Succeeded": "green", "RolledBack": "yellow", "Failed": "bold red", "Aborted": "yellow"}


def deed(remediation: Remediation) -> str:
    """Return what it does, such as `Scale Deployment/checkout 3 → 6`."""
    intent = remediation.spec.intent
    change = f" {intent.from_} → {intent.to}" if intent.from_ is not None and intent.to is not None else ""
    return f"{intent.action.name} {intent.target.kind}/{intent.target.name}{change}"


def stand(remediation: Remediation, now: float) -> str:
    """Return where it stands, since when, and why."""
    status = remediation.status
    since = ago(status.ended if remediation.ended else status.since, now)
    when = f" {since} ago" if since and remediation.ended else f" for {since}" if since else ""
    # While it waits for approval its message is the commands that the page shows anyway.
    known = (status.reason, status.message) if status.reason != status.phase else ("", "")
    why = ": ".join(part for part in known if part)
    return f"{status.phase}{when}: {PHASES[status.phase]}." + (f" {why}" if why else "")


def waiting(remediation: Remediation, now: float) -> str:
    """Return until when an approval is waited for; empty where none is."""
    if remediation.status.phase != "AwaitingApproval" or remediation.spec.approval:
        return ""
    left = until(remediation.spec.intent.approval_expires, now)
    return f"for another {left}" if left else "until it expires"


def line(step: Step) -> str:
    """Return one step in words."""
    done = "" if step.done else " (not known to be done)"
    because = f": {step.because}" if step.because else ""
    return f"{clock(step.at)} UTC  {step.what}{done}{because}"
