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
from forestall.journal.brake import BrakedCluster
from forestall.journal.gate import Ask, gate, in_time
from forestall.journal.ledger import Ledger
from forestall.journal.memory import Memory
from forestall.journal.record import (
    approved,
    completed,
    held_back,
    kept_back,
    moved,
    reachable,
    with_condition,
    with_risk,
    with_step,
    with_step_done,
    without_open_step,
)
from forestall.journal.records import LOST, status_again
from forestall.journal.refusal import refused, unconfirmed
from forestall.journal.standing import deadline, has_changed, is_new, is_under_way, patience
from forestall.journal.turn import Brake, Cycle, Guard, Remember, Turn, forgetful, never
from forestall.journal.verification import in_vain, verdict, verify
from forestall.ports import Cluster
from forestall.read_cache import ReadCache

_BEFORE: Final = ("Pending", "AwaitingApproval", "Authorized")
_NOT_HELPED: Final = ("Holding", "RollingBack")
_MOST_TURNS: Final = 8
"""More transitions than one call ever needs; what is left is done in the next cycle."""
_REFUSED: Final = frozenset({"Forbidden", "Refused"})


class Journal:
    """Writes intents down, and drives each of them as far as it goes."""

    def __init__(
        self,
        cluster: Cluster,
        actions: Mapping[str, Action] = ACTIONS,
        brake: Brake = never,
        remember: Remember = forgetful,
    ) -> None:
        self._cluster = cluster
        self._remember = remember
        self._ledger = Ledger(cluster)
        self._actions = actions
        self._brake = brake
        self._memory = Memory()

    async def open(self, intent: Intent) -> Remediation:
        """Write `intent` down in the objective's namespace; return the Remediation, also if it was written before.

        Raises:
            ClusterError: it is not known to be written down; the same call again is safe.
        """
        return await self._ledger.open(intent)

    async def advance(
        self,
        remediation: Remediation,
        outlook: Outlook | None,
        guard: Guard,
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
        recent = self._memory.note(remediation, outlook, now)
        cycle = Cycle(outlook, recent, guard, now, reader or ReadCache(self._cluster))
        current = remediation
        try:
            if not is_new(remediation, now):
                current = await self._ledger.read(remediation)
            for _ in range(_MOST_TURNS):
                turn = await self._turn(current, cycle)
                current = turn.remediation
                if not turn.more:
                    break
        except Conflict:
            with suppress(Throttled, Unavailable):
                current = await self._ledger.read(remediation)
        except (Throttled, Unavailable):
            pass
        if current.ended:
            self._memory.forget(current)
        return current

    async def hold(self, remediation: Remediation, hold: Hold, now: float) -> Remediation:
        """Write down why `remediation` goes on no further for now; return it as it is then.

        Raises:
            ClusterError: it is not known to be written down.
        """
        return await self._ledger.hold(remediation, hold, now)

    async def restore(self, remediation: Remediation, now: float) -> Remediation:
        """Write a Remediation again as it was last known, which somebody has deleted; return what there is then.

        Raises:
            ClusterError: it is not known to be written; the same call again is safe.
        """
        return await self._ledger.restore(remediation, status_again(remediation, now))

    async def note(self, remediation: Remediation, condition: Condition) -> Remediation:
        """Write one condition of `remediation` down, live or ended, as it was seen; return it as it is then.

        Raises:
            ClusterError: it is not known to be written down; where somebody else wrote, it is not.
        """
        return await self._ledger.save(remediation, with_condition(remediation.status, condition))

    async def _turn(self, current: Remediation, cycle: Cycle) -> Turn:
        if current.ended:
            return Turn(current, more=False)
        if current.unwritten:
            return await self._close(current, current.status, LOST, cycle)
        if current.status.phase in _BEFORE or not current.status.steps:
            return await self._prepare(current, cycle)
        world = await self._look(current, cycle)
        if isinstance(world, Hold):
            return await self._unseen(current, world, cycle)
        step = current.status.steps[-1]
        if world.taken_over and (step.done or world.level == step.to):
            return await self._superseded(current, world, cycle)
        if not step.done and world.level == step.to:
            return await self._made(current, cycle)
        if world.level != (step.to if step.done else step.from_):
            return await self._superseded(current, world, cycle)
        asked = asked_back(current) if step.done and self._action(current).traits.kept_while_at_risk else None
        if asked is not None and current.status.phase != "RollingBack":
            return await self._take_back(current, asked, cycle)
        if current.status.phase == "Executing":
            return await (self._settle(current, world, cycle) if step.done else self._prepare(current, cycle))
        return await self._hold(current, world, cycle)

    # Before anything is changed

    async def _prepare(self, current: Remediation, cycle: Cycle) -> Turn:
        """Take an intent that has changed nothing yet one transition further."""
        status = with_risk(current.status, cycle.outlook, current.spec.intent.verify_probability, cycle.now)
        if in_time(current, cycle.now):
            status = with_condition(status, approved(current, cycle.now))
        noted = current.model_copy(update={"status": status})
        answer = gate(noted, cycle.outlook, cycle.now) or await cycle.guard(noted)
        match answer:
            case End():
                return await self._give_up(current, status, answer, cycle)
            case Ask():
                asking = moved(status, "AwaitingApproval", "AwaitingApproval", answer.message, cycle.now)
                return Turn(await self._ledger.save(current, asking), more=False)
            case Hold():
                return await self._wait(current, status, answer, cycle)
        if current.status.phase in ("Pending", "AwaitingApproval"):
            authorized = moved(status, "Authorized", "GuardsPassed", "every guard lets it pass", cycle.now)
            return Turn(await self._ledger.save(current, authorized), more=True)
        return await self._begin(noted, current, cycle)

    async def _begin(self, noted: Remediation, current: Remediation, cycle: Cycle) -> Turn:
        world = await self._look(current, cycle)
        if isinstance(world, Hold):
            return await self._unseen(current, world, cycle)
        first = self._action(current).begin(current, world)
        if isinstance(first, Hold):
            return await self._obstructed(current, first, cycle)
        if (stopped := await self._brake(current, cycle.now)) is not None:
            return await self._wait(current, noted.status, stopped, cycle)
        executing = moved(noted.status, "Executing", "Executing", first.what, cycle.now)
        return await self._make(current, executing, first, world, cycle)

    async def _give_up(self, current: Remediation, status: RemediationStatus, end: End, cycle: Cycle) -> Turn:
        """End an intent that has changed nothing; a write whose answer was lost must have had its time."""
        if is_under_way(status, cycle.now):
            return Turn(current, more=False)
        return await self._close(current, without_open_step(status), end, cycle)

    # Changing the world

    async def _make(
        self, current: Remediation, status: RemediationStatus, move: Move, world: World, cycle: Cycle
    ) -> Turn:
        """Write a step down, then make it."""
        recorded = await self._ledger.commit(current, with_step(status, move, world, cycle.outlook, cycle.now))
        try:
            await self._remember(recorded, cycle.now)
        except ClusterError as error:
            if move.raises:
                hold = Hold("NotRecorded", f"{move.what}: it could not be noted in the objective: {error}")
                return await self._wait(recorded, recorded.status, hold, cycle)
        braked = BrakedCluster(self._cluster, lambda: self._brake(recorded, cycle.now))
        cycle.reader.forget_below(world.subject)
        try:
            await self._action(current).write(braked, recorded, world, move.to)
        except Conflict:
            cycle.reader.forget()
            return Turn(recorded, more=True)
        except (NotSent, Halted) as error:
            return await self._wait(recorded, recorded.status, Hold(error.reason, str(error)), cycle)
        except Throttled as error:
            return await self._wait(recorded, recorded.status, Hold("Throttled", f"{move.what}: {error}"), cycle)
        except NotFound:
            return Turn(recorded, more=False)  # the next cycle says what is gone
        except Unavailable as error:
            return await self._wait(recorded, recorded.status, unconfirmed(move.what, error), cycle)
        except ClusterError as error:
            return await self._obstructed(recorded, refused(error, recorded.spec.intent), cycle)
        return await self._made(recorded, cycle)

    async def _made(self, current: Remediation, cycle: Cycle) -> Turn:
        """Write down that the last step is done."""
        status = with_step_done(current.status)
        step = status.steps[-1]
        raised = status.completed is not None and (step.to or 0) > (step.from_ or 0)
        if raised and verified(current) is None and cycle.now < deadline(current, cycle.now):
            # What was added needs its time too before it is judged.
            status = status.model_copy(update={"completed": stamp(cycle.now)})
        saved = await self._ledger.save(current, status)
        message = f"{step.what}; {step.because}" if step.because else step.what
        await self._ledger.tell(saved, saved.spec.intent.target, "Normal", self._action(saved).traits.name, message)
        return Turn(saved, more=True)

    async def _look(self, current: Remediation, cycle: Cycle) -> World | Hold:
        try:
            return await self._action(current).look(cycle.reader, current)
        except Forbidden as error:
            return refused(error, current.spec.intent)

    # After the first change

    async def _settle(self, current: Remediation, world: World, cycle: Cycle) -> Turn:
        """Wait until what was changed has taken effect."""
        now, status = cycle.now, current.status
        if world.failed is not None:
            return await self._close(current, status, End("Failed", world.failed.reason, world.failed.message), cycle)
        if world.settled:
            status = status.model_copy(update={"completed": stamp(now), "calm_since": None})
            status = with_condition(status, completed("True", "Done", "the action is done", now))
            status = with_condition(status, verdict("Unknown", "Pending", "no sample from after the action yet", now))
            message = "it is done; samples from now on show whether it helped"
            return Turn(
                await self._ledger.save(current, moved(status, "Verifying", "Verifying", message, now)), more=False
            )
        if isinstance(action := self._action(current), Pressing):
            return await self._press_on(current, action, world, cycle)
        if now >= deadline(current, now):
            message = f"{title(world.subject)} was not complete by the deadline; it is waited for no longer"
            return await self._close(current, status, End("Failed", "DeadlineExceeded", message), cycle)
        return await self._wait(current, status, Hold("InProgress", f"{title(world.subject)} is under way"), cycle)

    async def _press_on(self, current: Remediation, action: Pressing, world: World, cycle: Cycle) -> Turn:
        """Go on with what takes many writes; or give back what was begun, when it may go on no more."""
        if cycle.now >= deadline(current, cycle.now):
            over = Hold("DeadlineExceeded", f"its time was over before it was done; {world.left}")
            return await self._take_back(current, over, cycle)
        if cycle.outlook is not None and cycle.outlook.withdrawn is not None:
            return await self._take_back(current, cycle.outlook.withdrawn, cycle)
        held = await self._stopped(current, cycle) or await cycle.guard(current)
        if held is None:
            braked = BrakedCluster(self._cluster, lambda: self._brake(current, cycle.now))
            try:
                held = await action.proceed(braked, current, world)
            except (Conflict, NotFound, Throttled):
                raise
            except Unavailable as error:
                held = unconfirmed(title(world.subject), error)
            except Halted as error:
                held = Hold(error.reason, str(error))
            except ClusterError as error:
                return await self._take_back(current, refused(error, current.spec.intent), cycle)
        return await self._wait(current, current.status, held, cycle)

    async def _take_back(self, current: Remediation, why: Hold, cycle: Cycle) -> Turn:
        never = completed("False", why.reason, why.message, cycle.now)
        status = current.status if current.status.completed else with_condition(current.status, never)
        back = moved(status, "RollingBack", why.reason, why.message, cycle.now)
        return Turn(await self._ledger.save(current, back), more=True)

    async def _hold(self, current: Remediation, world: World, cycle: Cycle) -> Turn:
        """Judge whether it helped, and keep, raise or give back what was done."""
        action, intent, now = self._action(current), current.spec.intent, cycle.now
        status = with_risk(reachable(current.status), cycle.outlook, intent.verify_probability, now)
        for told in (noted(current, world, now), proportion.noted(current, cycle.recent, now)):
            status = status if told is None else with_condition(status, told)
        status = with_condition(status, verify(current, cycle.outlook, now, exhausted=world.level >= world.ceiling))
        judged = current.model_copy(update={"status": status})
        if action.traits.kept_while_at_risk and verified(judged) is False and status.phase not in _NOT_HELPED:
            holding = moved(status, "Holding", "NotHelped", in_vain(judged, world), now)
            return Turn(await self._ledger.save(current, holding), more=True)
        following = action.carry_on(judged, world, cycle.recent, now)
        again = isinstance(following, Move) and bool(status.steps) and following.to == status.steps[-1].to
        if is_under_way(status, now) and not again:
            return Turn(await self._ledger.save(current, status), more=False)
        if isinstance(following, Move):
            return await self._carry_on(judged, current, following, world, cycle)
        status = without_open_step(status)
        if isinstance(following, End):
            return await self._close(current, status, following, cycle)
        return await self._wait(current, held_back(status, following, now), following, cycle)

    async def _carry_on(
        self, judged: Remediation, current: Remediation, move: Move, world: World, cycle: Cycle
    ) -> Turn:
        held = await self._stopped(judged, cycle) or (await cycle.guard(judged) if move.raises else None)
        if held is not None:
            return await self._wait(current, without_open_step(judged.status), held, cycle)
        phase: Phase = "RollingBack" if judged.status.phase == "Holding" else judged.status.phase
        reason = "Raising" if move.raises else "Releasing"
        status = moved(judged.status, phase, reason, f"{move.what}; {move.because}", cycle.now)
        turn = await self._make(current, status, move, world, cycle)
        # One change in a cycle: the next is decided when this one can be seen.
        return Turn(turn.remediation, more=False)

    async def _stopped(self, current: Remediation, cycle: Cycle) -> Hold | None:
        if cycle.outlook is None:
            return Hold("NoOutlook", "this cycle knows nothing about the risk")
        return await self._brake(current, cycle.now)

    # Ends

    async def _superseded(self, current: Remediation, world: World, cycle: Cycle) -> Turn:
        step = current.status.steps[-1]
        left = step.to if step.done else step.from_
        changed = f"set to {left}" if world.level == left else f"changed from {left} to {world.level}"
        message = f"{title(world.subject)} was {changed} by somebody else; it is left alone"
        return await self._close(current, current.status, End("Aborted", "Superseded", message), cycle)

    async def _unseen(self, current: Remediation, obstacle: Hold, cycle: Cycle) -> Turn:
        """End what can't go on because of what was found, or because nothing may be looked at."""
        if obstacle.reason in _REFUSED and not has_changed(current.status):
            return await self._not_tried(current, current.status, obstacle, cycle)
        return await self._obstructed(current, obstacle, cycle)

    async def _obstructed(self, current: Remediation, obstacle: Hold, cycle: Cycle) -> Turn:
        """End what can't go on; a right that is missing for giving back may still be granted, a pause may end."""
        status = current.status
        if isinstance(obstacle, Waiting) and status.steps:
            return await self._wait(current, kept_back(status, obstacle, cycle.now), obstacle, cycle)
        if obstacle.reason not in _REFUSED:
            return await self._close(current, status, End("Aborted", obstacle.reason, obstacle.message), cycle)
        if not has_changed(status):
            return await self._not_tried(current, without_open_step(status), obstacle, cycle)
        if cycle.now < patience(current, cycle.now):
            return await self._wait(current, kept_back(status, obstacle, cycle.now), obstacle, cycle)
        return await self._close(current, status, End("Failed", obstacle.reason, obstacle.message), cycle)

    async def _not_tried(self, current: Remediation, status: RemediationStatus, why: Hold, cycle: Cycle) -> Turn:
        """Wait for a right that is missing; what admission refuses ends, and has not failed: it was not tried."""
        if why.reason == "Forbidden" and cycle.now < deadline(current, cycle.now):
            return await self._wait(current, status, why, cycle)
        return await self._give_up(current, status, End("Aborted", why.reason, why.message), cycle)

    async def _close(self, current: Remediation, status: RemediationStatus, end: End, cycle: Cycle) -> Turn:
        ended = moved(status, end.phase, end.reason, end.message, cycle.now)
        return Turn(await self._ledger.save(current, ended), more=False)

    # Writing

    async def _wait(self, current: Remediation, status: RemediationStatus, hold: Hold, cycle: Cycle) -> Turn:
        """Stay in the phase for this reason; the words alone are not worth a write."""
        if hold.reason != status.reason:
            status = moved(status, status.phase, hold.reason, hold.message, cycle.now)
        return Turn(await self._ledger.save(current, status), more=False)

    def _action(self, remediation: Remediation) -> Action:
        return self._actions[remediation.spec.intent.action.name]
