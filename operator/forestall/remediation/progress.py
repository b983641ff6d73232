"""How far a Remediation is, read from its status; pure."""

from typing import Final

from forestall.actions.base import condition_of
from forestall.api.remediation import Remediation, RemediationStatus
from forestall.api.times import seconds, stamp
from forestall.remediation.status_updates import GIVEN_BACK

IN_FLIGHT: Final = 15.0
"""How long (s) a write whose answer was lost may still take effect; only then is a step given up as never made."""
REFUSED_ROLLBACK: Final = 86400.0
"""For how long (s) it is tried to revert what the API server refuses, before that is left to people."""


def deadline(remediation: Remediation, now: float) -> float:
    """Return the deadline (s); one that can't be read has passed."""
    return seconds(remediation.spec.intent.deadline) or now


def rollback_deadline(remediation: Remediation, now: float) -> float:
    """Return until when (s) reverting is tried again that is refused: the deadline, and a day from the first time."""
    since = condition_of(remediation, GIVEN_BACK)
    first = now if since is None else seconds(since.last_transition_time) or now
    return max(deadline(remediation, now), first + REFUSED_ROLLBACK)


def has_changed(status: RemediationStatus) -> bool:
    """Say whether anything was changed that may have to be reverted."""
    return any(step.done for step in status.steps)


def has_write_in_flight(status: RemediationStatus, now: float) -> bool:
    """Say whether a step that is not done was begun so lately that it may yet take effect."""
    if not status.steps or status.steps[-1].done:
        return False
    at = seconds(status.steps[-1].at)
    return at is not None and now - at < IN_FLIGHT


def is_newly_created(remediation: Remediation, now: float) -> bool:
    """Say whether this cycle has written it down, so that it need not be read: it was, and writes are conditional."""
    return remediation.status.phase == "Pending" and remediation.spec.intent.created == stamp(now)
