"""The lifecycle of a Remediation: which phase follows which, and what is done in each.

::

    Pending ─▶ AwaitingApproval ─▶ Authorized ─▶ Executing ─▶ Verifying ─▶ Succeeded
       │       (mode Approve)        ▲ │             │ │          │ │
       ├─────────────────────────────┘ │             │ │          │ └─▶ Holding ◀─▶ RollingBack ─▶ RolledBack
       │                               │             │ └──────────┴───────────────────▲
       └───────────▶ Aborted ◀─────────┘             └───▶ Failed

Wherever it stands, it is Aborted where somebody else has changed the target, or it is gone. The table in
docs/concepts.md says what may follow which phase, and a test holds every transition to it. Each phase has a module in
`phases`. Every transition is an update of the status with `resourceVersion` (`transitions`); a change of the cluster is
written down before it is made (`write_ahead`).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from forestall.actions import ObservedState
from forestall.actions.base import undo_requested
from forestall.api.remediation import Phase, Remediation, Step
from forestall.core.decision import Hold
from forestall.remediation.backup import LOST
from forestall.remediation.context import ReconcileContext, StepResult
from forestall.remediation.phases.authorized import reconcile_authorized
from forestall.remediation.phases.executing import reconcile_executing
from forestall.remediation.phases.holding import reconcile_holding
from forestall.remediation.phases.pending import reconcile_pending
from forestall.remediation.phases.rolling_back import reconcile_rolling_back
from forestall.remediation.phases.verifying import reconcile_verifying
from forestall.remediation.transitions import begin_rollback, close, handle_unobservable, superseded
from forestall.remediation.write_ahead import confirm_step, observe

BeforeChange = Callable[[Remediation, ReconcileContext], Awaitable[StepResult]]
"""Handles a phase in which nothing was changed yet."""
AfterChange = Callable[[Remediation, ObservedState, ReconcileContext], Awaitable[StepResult]]
"""Handles a phase in which something was changed, or was about to be; the cluster is as the last step left it."""

BEFORE_CHANGE: Final[Mapping[Phase, BeforeChange]] = {
    "Pending": reconcile_pending,
    "AwaitingApproval": reconcile_pending,
    "Authorized": reconcile_authorized,
}
AFTER_CHANGE: Final[Mapping[Phase, AfterChange]] = {
    "Executing": reconcile_executing,
    "Verifying": reconcile_verifying,
    "Holding": reconcile_holding,
    "RollingBack": reconcile_rolling_back,
}


async def advance(remediation: Remediation, context: ReconcileContext) -> StepResult:
    """Take `remediation` one transition further."""
    status = remediation.status
    if remediation.ended:
        return StepResult(remediation, continues=False)
    if remediation.unwritten:
        return await close(remediation, status, LOST, context)
    if status.phase in BEFORE_CHANGE or not status.steps:
        return await BEFORE_CHANGE.get(status.phase, reconcile_authorized)(remediation, context)
    observed = await observe(remediation, context)
    if isinstance(observed, Hold):
        return await handle_unobservable(remediation, observed, context)
    step = status.steps[-1]
    if _is_superseded(step, observed):
        return await superseded(remediation, observed, context)
    if not step.done and observed.level == step.to:
        return await confirm_step(remediation, context)
    if observed.level != (step.to if step.done else step.from_):
        return await superseded(remediation, observed, context)
    undo = undo_requested(remediation) if step.done and context.action.traits.kept_while_at_risk else None
    if undo is not None and status.phase != "RollingBack":
        return await begin_rollback(remediation, undo, context)
    return await AFTER_CHANGE[status.phase](remediation, observed, context)


def _is_superseded(step: Step, observed: ObservedState) -> bool:
    """Say whether somebody else has written the level since `step`, be it to the same value."""
    return observed.taken_over and (step.done or observed.level == step.to)
