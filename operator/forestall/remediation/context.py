"""What one call of the reconciler knows about one Remediation, and through what its phases read and write."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from forestall.actions import Action, RiskOutlook, TimedOutlook
from forestall.api.remediation import Remediation
from forestall.core.decision import Hold
from forestall.ports import Cluster
from forestall.read_cache import ReadCache
from forestall.remediation.pause_fence import PauseFence
from forestall.remediation.store import RemediationStore

GuardCheck = Callable[[Remediation], Awaitable[Hold | None]]
"""Asked before anything more is done, and only then; the phase of the Remediation tells where it stands."""

PauseCheck = Callable[[Remediation, float], Awaitable[Hold | None]]
"""Asked, with the time (s), right before each change of the cluster: has a person paused it?"""

StepBackup = Callable[[Remediation, float], Awaitable[None]]
"""Called, with the time (s), when a step is written down and about to be made, so that it is known also when the
Remediation is deleted. What it raises (`ClusterError`) keeps the step from being made."""


async def never_paused(_: Remediation, __: float) -> Hold | None:
    """Where nobody can pause anything: a `PauseCheck` that never holds."""
    return None


async def no_backup(_: Remediation, __: float) -> None:
    """Where nothing is kept beside the Remediations: a `StepBackup` that does nothing."""


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """What the present cycle knows about one remediation, and what its phases act through."""

    cluster: Cluster
    """What is changed; only through `fenced`."""
    store: RemediationStore
    action: Action
    """The action of the remediation."""
    guard: GuardCheck
    pause_check: PauseCheck
    step_backup: StepBackup
    outlook: RiskOutlook | None
    """None where this cycle knows nothing about the risk: then nothing is changed."""
    recent: Sequence[TimedOutlook]
    """The newest outlooks without a gap, the oldest first."""
    now: float
    """Seconds since the epoch."""
    reader: ReadCache
    """What this cycle has read of the cluster for this remediation since the last attempt to change it."""

    def fenced(self, remediation: Remediation) -> PauseFence:
        """Return the cluster in which nothing is changed for `remediation` once people have paused it."""
        return PauseFence(self.cluster, lambda: self.pause_check(remediation, self.now))

    async def why_stopped(self, remediation: Remediation) -> Hold | None:
        """Return why nothing more may be changed now, not even reverted; None where it may."""
        if self.outlook is None:
            return Hold("RiskUnknown", "this cycle knows nothing about the risk")
        return await self.pause_check(remediation, self.now)


@dataclass(frozen=True, slots=True)
class StepResult:
    """The remediation after one transition, and whether the next can follow at once."""

    remediation: Remediation
    continues: bool
