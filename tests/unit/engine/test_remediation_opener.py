"""How a Remediation is opened: budget, episode and intent are written in this order, and nothing is done twice."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.virtual_time import run

from forestall.api import Remediation
from forestall.api.service_level_objective import Decision, Episode
from forestall.core.decision import Hold
from forestall.core.risk import ObjectiveState, Risk
from forestall.engine.fair_scheduling import FairScheduler
from forestall.engine.objective_status import Findings
from forestall.engine.remediation_opener import RemediationOpener
from forestall.engine.snapshot import Snapshot
from forestall.errors import Forbidden, Unavailable
from forestall.registry import Registry
from forestall.remediation import draft_of

NOW = 5000.0
HELD = Hold("BudgetExhausted", "nothing is left")


class World:
    """What an opener asks and writes, in its order."""

    def __init__(self, slo, make_remediation):
        self.slo, self.make = slo, make_remediation
        self.calls: list[Any] = []
        self.errors: dict[str, BaseException] = {}
        self.takes: dict[str, float] = {}
        self.hold: Hold | None = None
        self.decided: list[str] = []
        self.phase = "Pending"
        self.deleted: list[Remediation] = []
        self.registry, self.scheduler = Registry(), FairScheduler(4, 30.0)
        self.opener = RemediationOpener(
            SimpleNamespace(confirm=self.confirm),  # type: ignore[arg-type]
            SimpleNamespace(open=self.written),  # type: ignore[arg-type]
            SimpleNamespace(write=lambda *_: self.call("episode")),  # type: ignore[arg-type]
            SimpleNamespace(with_deleted=self.with_deleted),  # type: ignore[arg-type]
            self.scheduler,
            self.registry,
        )
        self.opener.budget_usage = SimpleNamespace(  # type: ignore[assignment]
            refund=lambda _, draft: self.calls.append(("refund", draft.name)),
            pay=lambda guardrails, decided, draft, now: self.call("pay"),
        )

    def with_deleted(self, existing):
        return existing | {(one.namespace, one.name): one for one in self.deleted}

    async def call(self, name):
        self.calls.append(name)
        await asyncio.sleep(self.takes.get(name, 0.0))
        if name in self.errors:
            raise self.errors[name]

    async def confirm(self, snapshot, proposal):
        await self.call("confirm")
        self.decided = [one.name for one in snapshot.remediations]
        return self.hold

    async def written(self, intent):
        await self.call("intent")
        draft = Remediation.read(draft_of(intent)).dump()
        metadata = {**draft["metadata"], "resourceVersion": "7", "uid": draft["metadata"]["name"]}
        return Remediation.read({**draft, "metadata": metadata, "status": {"phase": self.phase}})

    def findings(self, *decided):
        decision = Decision(policy="early", verdict="Act", reason="LimitPassed", message="scale")
        episode = Episode(number=1, decided=list(decided))
        return Findings(
            self.slo, Risk(ObjectiveState.AT_RISK, 0.9, None), decisions=(decision, decision), episode=episode
        )

    async def open(self, number=1, *decided):
        intent = self.make(episode=number).spec.intent
        proposal: Any = SimpleNamespace(intent=lambda now: intent)
        held = Snapshot({self.slo.uid: self.slo}, {}, [], [])
        return await self.opener.open(held, self.findings(*decided), 1, proposal, NOW)

    def run(self, *args, until=1000.0):
        async def work():
            self.scheduler.begin_phase(asyncio.get_running_loop().time() + until)
            return await self.open(*args)

        return run(work())


@pytest.fixture
def world(slo, make_remediation):
    return World(slo, make_remediation)


def name_of(world, number=1):
    """Return the name of the Remediation that `World.open` writes."""
    return Remediation.read(draft_of(world.make(episode=number).spec.intent)).name


ORDER = ["confirm", "pay", "episode", "intent"]


def test_the_budget_is_written_first_then_the_episode_then_the_intent(world):
    decision = world.run()
    assert [call for call in world.calls if isinstance(call, str)] == ORDER
    assert world.calls[0][0] == "refund"
    (stored,) = world.registry.all(Remediation)
    assert (decision.verdict, decision.reason, decision.remediation) == ("Act", "LimitPassed", stored.name)


@pytest.mark.parametrize(
    ("step", "calls"),
    [("confirm", ORDER[:1]), ("pay", ORDER[:2]), ("episode", ORDER[:3]), ("intent", ORDER)],
)
def test_failed_write_stops_all_later_writes(world, step, calls):
    world.errors = {step: Unavailable("no answer")}
    decision = world.run()
    assert [call for call in world.calls if isinstance(call, str)] == calls
    assert (decision.verdict, decision.reason) == ("Hold", "NotRecorded")
    assert decision.message == "scale; it could not be written down: no answer"
    assert (decision.remediation, world.registry.all(Remediation)) == ("", [])


def test_remediation_is_not_written_where_guards_hold_on_confirmation(world):
    world.hold = HELD
    decision = world.run()
    assert (decision.verdict, decision.reason, decision.message) == ("Hold", HELD.reason, HELD.message)
    assert [call for call in world.calls if isinstance(call, str)] == ["confirm"]


@pytest.mark.parametrize(
    ("error", "counts"), [(Unavailable("x"), True), (TimeoutError(), True), (Forbidden("x"), False)]
)
def test_intent_with_unknown_result_counts_in_the_same_cycle_and_a_refused_one_does_not(world, error, counts):
    async def two():
        world.scheduler.begin_phase()
        world.errors = {"intent": error}
        await world.open(1)
        world.errors = {}
        await world.open(2)
        return world.decided

    decided = run(two())
    assert len(decided) == counts
    world.opener.begin_cycle()
    run(world.open(3))
    assert len(world.decided) == 1, "in the next cycle only what is stored counts"


def test_opened_and_deleted_remediations_of_the_cycle_count(world, make_remediation):
    body = make_remediation(episode=9).dump()
    world.deleted = [Remediation.read({**body, "metadata": {**body["metadata"], "name": "deleted"}})]
    run(world.open(1))
    assert world.decided == ["deleted"]
    run(world.open(2))
    assert sorted(world.decided) == sorted(["deleted", name_of(world)])


def test_deleted_remediation_of_this_episode_is_not_opened_again(world):
    decision = world.run(1, name_of(world))
    assert (decision.verdict, decision.reason) == ("Hold", "AlreadyDecided")
    assert "deleted since" in decision.message
    assert world.calls == []


def test_existing_remediation_is_found_and_not_paid_for_again(world):
    known = name_of(world)
    body = world.make(episode=1).dump()
    world.registry.put("Remediation", {**body, "metadata": {**body["metadata"], "name": known}})
    decision = world.run(1, known)
    assert [call for call in world.calls if isinstance(call, str)] == ["confirm", "episode", "intent"]
    assert decision.verdict == "Act"


def test_hold_says_that_the_remediation_of_this_episode_has_ended(world):
    world.phase = "Failed"
    decision = world.run()
    assert (decision.verdict, decision.reason) == ("Hold", "AlreadyDecided")
    assert decision.message.endswith("was decided in this episode already and ended: Failed")


@pytest.mark.parametrize(
    ("takes", "until", "written"),
    [
        ({"confirm": 24.0}, 100.0, True),
        ({"confirm": 26.0}, 100.0, False),
        ({"intent": 99.0}, 100.0, True),
        ({"intent": 101.0}, 100.0, False),
    ],
)
def test_confirmation_has_a_quarter_of_the_remaining_time(world, takes, until, written):
    world.takes = takes
    decision = world.run(until=until)
    assert decision.reason == ("LimitPassed" if written else "NotRecorded")
    assert written or decision.message.endswith("no time was left for it in this cycle")
