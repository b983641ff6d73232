"""What is left of an action that can't be undone, once it is done: to see whether it helped."""

from collections.abc import Sequence
from typing import Final

from forestall.actions.base import Next, Outcome, TimedOutlook, condition_of, has_helped
from forestall.api.remediation import Remediation
from forestall.api.times import seconds
from forestall.core.decision import Hold

UNJUDGED: Final = 3600.0
"""How long (s) something is held while nobody can judge the risk, because what was asked about it is asked no more."""


def await_verdict(remediation: Remediation, message: str, now: float, *, undo: str = "it can't be undone") -> Next:
    """Wait for the verdict of the verification; `message` says what was done, such as `deployment shop/web was
    restarted`, and `undo` what becomes of that where it did not help.

    Without fresh data the waiting ends at the deadline, but never before the policy's time for verification.
    """
    helped, verdict = has_helped(remediation), condition_of(remediation, "Verified")
    why = f": {verdict.message}" if verdict is not None and verdict.reason != "Pending" else ""
    if helped:
        return Outcome("Succeeded", "Verified", f"{message}, and the risk has fallen")
    if helped is False:
        return Outcome("Failed", "NotHelped", f"{message}, but that did not help{why}; {undo}")
    if now >= _end(remediation, now):
        return Outcome("Failed", "NotVerified", f"{message}, but no fresh data told whether it helped{why}; {undo}")
    return Hold("Verifying", f"{message}; the next samples show whether it helped")


def unverifiable(remediation: Remediation, recent: Sequence[TimedOutlook], now: float) -> Hold | None:
    """Return why what is held while the risk lasts is held no longer: nobody can judge it, and nobody will.

    A source that is silent may speak again; a question that people ask no more is not answered any more.
    """
    blind = seconds(remediation.status.blind_since)
    unjudgeable = recent[-1].outlook.unjudgeable if recent else None
    if blind is None or unjudgeable is None or now - blind < UNJUDGED:
        return None
    return Hold("NotVerified", f"{unjudgeable.message}, so nobody can judge it any more")


def _end(remediation: Remediation, now: float) -> float:
    intent = remediation.spec.intent
    completed = seconds(remediation.status.completed) or now
    return max(seconds(intent.deadline) or now, completed + intent.verify_within.seconds)
