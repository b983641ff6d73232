"""What the journal is told of one cycle, and whom it asks."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from forestall.actions import Moment, Outlook
from forestall.api.remediation import Remediation
from forestall.core.decision import Hold
from forestall.read_cache import ReadCache

GuardCheck = Callable[[Remediation], Awaitable[Hold | None]]
"""Asked before anything more is done, and only then; the phase of the Remediation tells where it stands."""

PauseCheck = Callable[[Remediation, float], Awaitable[Hold | None]]
"""Asked, with the time (s), right before each change of the world: has a person stopped it?"""

StepBackup = Callable[[Remediation, float], Awaitable[None]]
"""Told, with the time (s), of a step that is written down and about to be made, so that it is known also when the
Remediation is deleted. What it raises (`ClusterError`) keeps the step from being made."""


async def never_paused(_: Remediation, __: float) -> Hold | None:
    """Where nobody can pause anything: a `PauseCheck` that never holds."""
    return None


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """What the present cycle knows about one remediation."""

    outlook: Outlook | None
    recent: Sequence[Moment]
    guard: GuardCheck
    now: float
    reader: ReadCache
    """What this cycle has read of the world for this remediation since the last attempt to change it."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """The remediation after one transition, and whether the next can follow at once."""

    remediation: Remediation
    more: bool


async def no_backup(_: Remediation, __: float) -> None:
    """Where nothing is kept beside the Remediations: a `StepBackup` that does nothing."""
