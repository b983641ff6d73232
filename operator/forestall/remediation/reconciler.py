"""The journal: drives each Remediation through its life, so that a crash at any instant does nothing twice.

Every transition is an update of the status with `resourceVersion`. A change of the world goes like this:

1. look at the world, and remember its version;
2. write the step down (not done), on the condition that nobody wrote the Remediation since it was read;
3. change the world, on the condition that nobody changed it since 1;
4. write down that the step is done.

Whoever finds a step that is not done looks at the world: it is at the step's `to`, so the step was made; or at its
`from`, so it was not, and 1 to 3 are gone through again; or elsewhere, so somebody else has taken over and it is left
alone. Two processes that both believe to lead can't both pass 2 and 3: for the slower one, a version no longer holds.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from forestall.actions import ACTIONS, Action, End, Move, Outlook, Pressing, World, proportion, verified
from forestall.actions.base import Waiting, asked_back, title
from forestall.actions.starting import noted
from forestall.api.meta import Condition
from forestall.api.remediation import Intent, Phase, Remediation, RemediationStatus
from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.errors import ClusterError, Conflict, Forbidden, Halted, NotFound, NotSent, Throttled, Unavailable
from forestall.ports import Cluster
from forestall.read_cache import ReadCache
from forestall.remediation.authorization import ApprovalRequired, authorize, newly_approved
from forestall.remediation.backup import LOST, restored_status
from forestall.remediation.context import (
    GuardCheck,
    PauseCheck,
    ReconcileContext,
    StepBackup,
    StepResult,
    never_paused,
    no_backup,
)
from forestall.remediation.pause_fence import PauseFence
from forestall.remediation.progress import (
    deadline,
    has_changed,
    has_write_in_flight,
    is_newly_created,
    rollback_deadline,
)
from forestall.remediation.recent_outlooks import RecentOutlooks
from forestall.remediation.status_updates import (
    approved_condition,
    back_to_holding,
    completed_condition,
    moved,
    with_condition,
    with_risk,
    with_rollback_refused,
    with_step,
    with_step_done,
    without_open_step,
    without_rollback_refused,
)
from forestall.remediation.store import RemediationStore
from forestall.remediation.verification import not_helped_message, verified_condition, verify
from forestall.remediation.write_errors import refused_write, unconfirmed_write

_BEFORE: Final = ("Pending", "AwaitingApproval", "Authorized")
_NOT_HELPED: Final = ("Holding", "RollingBack")
_MOST_STEPS: Final = 8
"""More transitions than one call ever needs; what is left is done in the next context."""
_REFUSED: Final = frozenset({"Forbidden", "Refused"})


class RemediationReconciler:
    """Writes intents down, and drives each of them as far as it goes."""

    def __init__(
        self,
        cluster: Cluster,
        actions: Mapping[str, Action] = ACTIONS,
        pause_check: PauseCheck = never_paused,
        step_backup: StepBackup = no_backup,
    ) -> None:
        self._cluster = cluster
        self._step_backup = step_backup
        self._store = RemediationStore(cluster)
        self._actions = actions
        self._pause_check = pause_check
        self._recent_outlooks = RecentOutlooks()

    async def open(self, intent: Intent) -> Remediation:
        """Write `intent` down in the objective's namespace; return the Remediation, also if it was written before.

        Raises:
            ClusterError: it is not known to be written down; the same call again is safe.
        """
        return await self._store.open(intent)

    async def reconcile(
        self,
        remediation: Remediation,
        outlook: Outlook | None,
        guard: GuardCheck,
        now: float,
        reader: ReadCache | None = None,
    ) -> Remediation:
        """Drive `remediation` as far as it goes now; return it as it is then.

        Without an outlook nothing is changed, only what happened before is written down. Where the cluster does not
        answer, somebody else writes at the same time or asks to wait, the next call goes on from what is written down.

        `reader` is what `guard` asks the world through: empty now, and not read through for anything else meanwhile.

        Raises:
            NotFound: the Remediation was deleted.
            Forbidden: the operator may not write its own Remediations.
        """
        recent = self._recent_outlooks.add(remediation, outlook, now)
        context = ReconcileContext(outlook, recent, guard, now, reader or ReadCache(self._cluster))
        current = remediation
        try:
            if not is_newly_created(remediation, now):
                current = await self._store.read(remediation)
            for _ in range(_MOST_STEPS):
                result = await self._step(current, context)
                current = result.remediation
                if not result.more:
                    break
        except Conflict:
            with suppress(Throttled, Unavailable):
                current = await self._store.read(remediation)
        except (Throttled, Unavailable):
            pass
        if current.ended:
            self._recent_outlooks.forget(current)
        return current

    async def hold(self, remediation: Remediation, hold: Hold, now: float) -> Remediation:
        """Write down why `remediation` goes on no further for now; return it as it is then.

        Raises:
            ClusterError: it is not known to be written down.
        """
        return await self._store.hold(remediation, hold, now)

    async def restore(self, remediation: Remediation, now: float) -> Remediation:
        """Write a Remediation again as it was last known, which somebody has deleted; return what there is then.

        Raises:
            ClusterError: it is not known to be written; the same call again is safe.
        """
        return await self._store.restore(remediation, restored_status(remediation, now))

    async def set_condition(self, remediation: Remediation, condition: Condition) -> Remediation:
        """Write one condition of `remediation` down, live or ended, as it was seen; return it as it is then.

        Raises:
            ClusterError: it is not known to be written down; where somebody else wrote, it is not.
        """
        return await self._store.save(remediation, with_condition(remediation.status, condition))

    async def _step(self, current: Remediation, context: ReconcileContext) -> StepResult:
        if current.ended:
            return StepResult(current, more=False)
        if current.unwritten:
            return await self._close(current, current.status, LOST, context)
        if current.status.phase in _BEFORE or not current.status.steps:
            return await self._prepare(current, context)
        world = await self._look(current, context)
        if isinstance(world, Hold):
            return await self._unseen(current, world, context)
        step = current.status.steps[-1]
        if world.taken_over and (step.done or world.level == step.to):
            return await self._superseded(current, world, context)
        if not step.done and world.level == step.to:
            return await self._made(current, context)
        if world.level != (step.to if step.done else step.from_):
            return await self._superseded(current, world, context)
        asked = asked_back(current) if step.done and self._action(current).traits.kept_while_at_risk else None
        if asked is not None and current.status.phase != "RollingBack":
            return await self._take_back(current, asked, context)
        if current.status.phase == "Executing":
            return await (self._settle(current, world, context) if step.done else self._prepare(current, context))
        return await self._hold(current, world, context)

    # Before anything is changed

    async def _prepare(self, current: Remediation, context: ReconcileContext) -> StepResult:
        """Take an intent that has changed nothing yet one transition further."""
        status = with_risk(current.status, context.outlook, current.spec.intent.verify_probability, context.now)
        if newly_approved(current, context.now):
            status = with_condition(status, approved_condition(current, context.now))
        noted = current.model_copy(update={"status": status})
        answer = authorize(noted, context.outlook, context.now) or await context.guard(noted)
        match answer:
            case End():
                return await self._give_up(current, status, answer, context)
            case ApprovalRequired():
                asking = moved(status, "AwaitingApproval", "AwaitingApproval", answer.message, context.now)
                return StepResult(await self._store.save(current, asking), more=False)
            case Hold():
                return await self._wait(current, status, answer, context)
        if current.status.phase in ("Pending", "AwaitingApproval"):
            authorized = moved(status, "Authorized", "GuardsPassed", "every guard lets it pass", context.now)
            return StepResult(await self._store.save(current, authorized), more=True)
        return await self._begin(noted, current, context)

    async def _begin(self, noted: Remediation, current: Remediation, context: ReconcileContext) -> StepResult:
        world = await self._look(current, context)
        if isinstance(world, Hold):
            return await self._unseen(current, world, context)
        first = self._action(current).begin(current, world)
        if isinstance(first, Hold):
            return await self._obstructed(current, first, context)
        if (stopped := await self._pause_check(current, context.now)) is not None:
            return await self._wait(current, noted.status, stopped, context)
        executing = moved(noted.status, "Executing", "Executing", first.what, context.now)
        return await self._make(current, executing, first, world, context)

    async def _give_up(
        self, current: Remediation, status: RemediationStatus, end: End, context: ReconcileContext
    ) -> StepResult:
        """End an intent that has changed nothing; a write whose answer was lost must have had its time."""
        if has_write_in_flight(status, context.now):
            return StepResult(current, more=False)
        return await self._close(current, without_open_step(status), end, context)

    # Changing the world

    async def _make(
        self, current: Remediation, status: RemediationStatus, move: Move, world: World, context: ReconcileContext
    ) -> StepResult:
        """Write a step down, then make it."""
        recorded = await self._store.commit(current, with_step(status, move, world, context.outlook, context.now))
        try:
            await self._step_backup(recorded, context.now)
        except ClusterError as error:
            if move.raises:
                hold = Hold("NotRecorded", f"{move.what}: it could not be noted in the objective: {error}")
                return await self._wait(recorded, recorded.status, hold, context)
        braked = PauseFence(self._cluster, lambda: self._pause_check(recorded, context.now))
        context.reader.forget_below(world.subject)
        try:
            await self._action(current).write(braked, recorded, world, move.to)
        except Conflict:
            context.reader.forget()
            return StepResult(recorded, more=True)
        except (NotSent, Halted) as error:
            return await self._wait(recorded, recorded.status, Hold(error.reason, str(error)), context)
        except Throttled as error:
            return await self._wait(recorded, recorded.status, Hold("Throttled", f"{move.what}: {error}"), context)
        except NotFound:
            return StepResult(recorded, more=False)  # the next cycle says what is gone
        except Unavailable as error:
            return await self._wait(recorded, recorded.status, unconfirmed_write(move.what, error), context)
        except ClusterError as error:
            return await self._obstructed(recorded, refused_write(error, recorded.spec.intent), context)
        return await self._made(recorded, context)

    async def _made(self, current: Remediation, context: ReconcileContext) -> StepResult:
        """Write down that the last step is done."""
        status = with_step_done(current.status)
        step = status.steps[-1]
        raised = status.completed is not None and (step.to or 0) > (step.from_ or 0)
        if raised and verified(current) is None and context.now < deadline(current, context.now):
            # What was added needs its time too before it is judged.
            status = status.model_copy(update={"completed": stamp(context.now)})
        saved = await self._store.save(current, status)
        message = f"{step.what}; {step.because}" if step.because else step.what
        await self._store.tell(saved, saved.spec.intent.target, "Normal", self._action(saved).traits.name, message)
        return StepResult(saved, more=True)

    async def _look(self, current: Remediation, context: ReconcileContext) -> World | Hold:
        try:
            return await self._action(current).look(context.reader, current)
        except Forbidden as error:
            return refused_write(error, current.spec.intent)

    # After the first change

    async def _settle(self, current: Remediation, world: World, context: ReconcileContext) -> StepResult:
        """Wait until what was changed has taken effect."""
        now, status = context.now, current.status
        if world.failed is not None:
            return await self._close(current, status, End("Failed", world.failed.reason, world.failed.message), context)
        if world.settled:
            status = status.model_copy(update={"completed": stamp(now), "calm_since": None})
            status = with_condition(status, completed_condition("True", "Done", "the action is done", now))
            status = with_condition(
                status, verified_condition("Unknown", "Pending", "no sample from after the action yet", now)
            )
            message = "it is done; samples from now on show whether it helped"
            return StepResult(
                await self._store.save(current, moved(status, "Verifying", "Verifying", message, now)), more=False
            )
        if isinstance(action := self._action(current), Pressing):
            return await self._press_on(current, action, world, context)
        if now >= deadline(current, now):
            message = f"{title(world.subject)} was not complete by the deadline; it is waited for no longer"
            return await self._close(current, status, End("Failed", "DeadlineExceeded", message), context)
        return await self._wait(current, status, Hold("InProgress", f"{title(world.subject)} is under way"), context)

    async def _press_on(
        self, current: Remediation, action: Pressing, world: World, context: ReconcileContext
    ) -> StepResult:
        """Go on with what takes many writes; or give back what was begun, when it may go on no more."""
        if context.now >= deadline(current, context.now):
            over = Hold("DeadlineExceeded", f"its time was over before it was done; {world.left}")
            return await self._take_back(current, over, context)
        if context.outlook is not None and context.outlook.withdrawn is not None:
            return await self._take_back(current, context.outlook.withdrawn, context)
        held = await self._stopped(current, context) or await context.guard(current)
        if held is None:
            braked = PauseFence(self._cluster, lambda: self._pause_check(current, context.now))
            try:
                held = await action.proceed(braked, current, world)
            except (Conflict, NotFound, Throttled):
                raise
            except Unavailable as error:
                held = unconfirmed_write(title(world.subject), error)
            except Halted as error:
                held = Hold(error.reason, str(error))
            except ClusterError as error:
                return await self._take_back(current, refused_write(error, current.spec.intent), context)
        return await self._wait(current, current.status, held, context)

    async def _take_back(self, current: Remediation, why: Hold, context: ReconcileContext) -> StepResult:
        never = completed_condition("False", why.reason, why.message, context.now)
        status = current.status if current.status.completed else with_condition(current.status, never)
        back = moved(status, "RollingBack", why.reason, why.message, context.now)
        return StepResult(await self._store.save(current, back), more=True)

    async def _hold(self, current: Remediation, world: World, context: ReconcileContext) -> StepResult:
        """Judge whether it helped, and keep, raise or give back what was done."""
        action, intent, now = self._action(current), current.spec.intent, context.now
        status = with_risk(without_rollback_refused(current.status), context.outlook, intent.verify_probability, now)
        for told in (noted(current, world, now), proportion.noted(current, context.recent, now)):
            status = status if told is None else with_condition(status, told)
        status = with_condition(status, verify(current, context.outlook, now, exhausted=world.level >= world.ceiling))
        judged = current.model_copy(update={"status": status})
        if action.traits.kept_while_at_risk and verified(judged) is False and status.phase not in _NOT_HELPED:
            holding = moved(status, "Holding", "NotHelped", not_helped_message(judged, world), now)
            return StepResult(await self._store.save(current, holding), more=True)
        following = action.carry_on(judged, world, context.recent, now)
        again = isinstance(following, Move) and bool(status.steps) and following.to == status.steps[-1].to
        if has_write_in_flight(status, now) and not again:
            return StepResult(await self._store.save(current, status), more=False)
        if isinstance(following, Move):
            return await self._carry_on(judged, current, following, world, context)
        status = without_open_step(status)
        if isinstance(following, End):
            return await self._close(current, status, following, context)
        return await self._wait(current, back_to_holding(status, following, now), following, context)

    async def _carry_on(
        self, judged: Remediation, current: Remediation, move: Move, world: World, context: ReconcileContext
    ) -> StepResult:
        held = await self._stopped(judged, context) or (await context.guard(judged) if move.raises else None)
        if held is not None:
            return await self._wait(current, without_open_step(judged.status), held, context)
        phase: Phase = "RollingBack" if judged.status.phase == "Holding" else judged.status.phase
        reason = "Raising" if move.raises else "Releasing"
        status = moved(judged.status, phase, reason, f"{move.what}; {move.because}", context.now)
        result = await self._make(current, status, move, world, context)
        # One change in a context: the next is decided when this one can be seen.
        return StepResult(result.remediation, more=False)

    async def _stopped(self, current: Remediation, context: ReconcileContext) -> Hold | None:
        if context.outlook is None:
            return Hold("NoOutlook", "this cycle knows nothing about the risk")
        return await self._pause_check(current, context.now)

    # Ends

    async def _superseded(self, current: Remediation, world: World, context: ReconcileContext) -> StepResult:
        step = current.status.steps[-1]
        left = step.to if step.done else step.from_
        changed = f"set to {left}" if world.level == left else f"changed from {left} to {world.level}"
        message = f"{title(world.subject)} was {changed} by somebody else; it is left alone"
        return await self._close(current, current.status, End("Aborted", "Superseded", message), context)

    async def _unseen(self, current: Remediation, obstacle: Hold, context: ReconcileContext) -> StepResult:
        """End what can't go on because of what was found, or because nothing may be looked at."""
        if obstacle.reason in _REFUSED and not has_changed(current.status):
            return await self._not_tried(current, current.status, obstacle, context)
        return await self._obstructed(current, obstacle, context)

    async def _obstructed(self, current: Remediation, obstacle: Hold, context: ReconcileContext) -> StepResult:
        """End what can't go on; a right that is missing for giving back may still be granted, a pause may end."""
        status = current.status
        if isinstance(obstacle, Waiting) and status.steps:
            return await self._wait(current, with_rollback_refused(status, obstacle, context.now), obstacle, context)
        if obstacle.reason not in _REFUSED:
            return await self._close(current, status, End("Aborted", obstacle.reason, obstacle.message), context)
        if not has_changed(status):
            return await self._not_tried(current, without_open_step(status), obstacle, context)
        if context.now < rollback_deadline(current, context.now):
            return await self._wait(current, with_rollback_refused(status, obstacle, context.now), obstacle, context)
        return await self._close(current, status, End("Failed", obstacle.reason, obstacle.message), context)

    async def _not_tried(
        self, current: Remediation, status: RemediationStatus, why: Hold, context: ReconcileContext
    ) -> StepResult:
        """Wait for a right that is missing; what admission refuses ends, and has not failed: it was not tried."""
        if why.reason == "Forbidden" and context.now < deadline(current, context.now):
            return await self._wait(current, status, why, context)
        return await self._give_up(current, status, End("Aborted", why.reason, why.message), context)

    async def _close(
        self, current: Remediation, status: RemediationStatus, end: End, context: ReconcileContext
    ) -> StepResult:
        ended = moved(status, end.phase, end.reason, end.message, context.now)
        return StepResult(await self._store.save(current, ended), more=False)

    # Writing

    async def _wait(
        self, current: Remediation, status: RemediationStatus, hold: Hold, context: ReconcileContext
    ) -> StepResult:
        """Stay in the phase for this reason; the words alone are not worth a write."""
        if hold.reason != status.reason:
            status = moved(status, status.phase, hold.reason, hold.message, context.now)
        return StepResult(await self._store.save(current, status), more=False)

    def _action(self, remediation: Remediation) -> Action:
        return self._actions[remediation.spec.intent.action.name]
