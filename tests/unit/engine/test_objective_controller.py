"""What each policy decides about an objective, whose decision is opened, and what becomes of an error."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.support.virtual_time import run

from forestall.api import RemediationPolicy
from forestall.api.service_level_objective import Decision, Episode
from forestall.core.risk import ObjectiveState, Risk
from forestall.engine.fair_scheduling import FairScheduler
from forestall.engine.objective_controller import ObjectiveController
from forestall.engine.objective_status import Findings, Problem
from forestall.engine.settings import Settings
from forestall.engine.snapshot import Snapshot
from forestall.isolation import ErrorIsolation
from forestall.registry import Registry

NOW = 5000.0


class World:
    """What a controller asks: each policy decides what a test says."""

    def __init__(self, slo, *policies):
        self.slo, self.policies = slo, policies
        self.isolation, self.registry = ErrorIsolation(), Registry()
        self.registry.put("Namespace", {"metadata": {"name": "shop", "uid": "n", "labels": {"a": "b"}}, "spec": {}})
        self.scheduler = FairScheduler(2, 30.0)
        self.cases: list[Any] = []
        self.opened: list[Any] = []
        self.errors: dict[str, BaseException] = {}
        self.acts: set[str] = set()
        self.seconds = 0.0
        self.controller = ObjectiveController(
            SimpleNamespace(decide=self.decide),  # type: ignore[arg-type]
            SimpleNamespace(open=self.open),  # type: ignore[arg-type]
            self.scheduler,
            self.registry,
            Settings(interval=30.0),
            self.isolation,
        )

    async def decide(self, snapshot, case, now):
        self.cases.append(case)
        await asyncio.sleep(self.seconds)
        if case.policy.name in self.errors:
            raise self.errors[case.policy.name]
        acts = case.policy.name in self.acts
        decision = Decision(policy=case.policy.name, verdict="Act" if acts else "Hold", reason="R", message="m")
        return decision, f"proposal of {case.policy.name}" if acts else None

    async def open(self, snapshot, findings, index, proposal, now):
        self.opened.append((findings.decisions, index, proposal, now))
        if "open" in self.errors:
            raise self.errors["open"]
        return findings.decisions[index].model_copy(update={"remediation": "opened"})

    def run(self, problem=None, *, missing=None, until=1000.0, **more):
        risk = Risk(ObjectiveState.AT_RISK, 0.9, None)
        findings = Findings(self.slo, risk, problem, **more)
        snapshot = Snapshot({}, {self.slo.uid: self.policies}, [], [])

        async def decide():
            self.scheduler.begin_phase(asyncio.get_running_loop().time() + until)
            with capture_logs():
                return await self.controller.decide(snapshot, findings, missing, NOW)

        return run(decide())


@pytest.fixture
def world(slo, make_policy):
    def named(name):
        body = make_policy().dump()
        return RemediationPolicy.read({**body, "metadata": {**body["metadata"], "name": name, "uid": name}})

    return World(slo, named("a"), named("b"))


def told(findings):
    return [(one.policy, one.verdict, one.reason, one.remediation) for one in findings.decisions]


def test_each_policy_decides_by_itself(world):
    episode = Episode(number=3, since="1970-01-01T00:10:00Z")
    findings = world.run(episode=episode, victim_of="database", signals=("a signal",))
    assert told(findings) == [("a", "Hold", "R", ""), ("b", "Hold", "R", "")]
    assert (findings.problem, world.opened) == (None, [])
    case = world.cases[0]
    assert (case.slo, case.policy.name, case.signals) == (world.slo, "a", ("a signal",))
    assert (case.episode, case.risk_since, case.victim_of, case.namespace_labels) == (3, 600.0, "database", {"a": "b"})


def test_of_several_that_act_the_first_is_opened_with_what_all_decided(world):
    world.acts = {"a", "b"}
    findings = world.run()
    assert told(findings) == [("a", "Act", "R", "opened"), ("b", "Act", "R", "")]
    ((decisions, index, proposal, now),) = world.opened
    assert ([one.policy for one in decisions], index, proposal, now) == (["a", "b"], 0, "proposal of a", NOW)


def test_the_decision_of_the_one_that_acts_is_opened(world):
    world.acts = {"b"}
    assert told(world.run()) == [("a", "Hold", "R", ""), ("b", "Act", "R", "opened")]
    assert [(index, proposal) for _, index, proposal, _ in world.opened] == [(1, "proposal of b")]


@pytest.mark.parametrize(
    ("problem", "missing", "kept"),
    [
        (None, None, None),
        (Problem("NoData", "x"), None, "NoData"),
        (None, Problem("TargetMissing", "x"), "TargetMissing"),
        (Problem("NoData", "x"), Problem("TargetMissing", "x"), "NoData"),
    ],
)
def test_problem_of_the_findings_precedes_a_missing_target(world, problem, missing, kept):
    found = world.run(problem, missing=missing).problem
    assert (found and found.reason) == kept


def test_after_an_unexpected_error_before_the_decision_every_policy_holds(world):
    """Kind: a step before the decision fails, and the decision rests on what it left."""
    world.acts = {"a", "b"}
    findings = world.run(Problem("InternalError", "an unexpected error while assessing"))
    assert told(findings) == [("a", "Hold", "InternalError", ""), ("b", "Hold", "InternalError", "")]
    assert {decision.message for decision in findings.decisions} == {"an unexpected error while assessing"}
    assert world.opened == []


def test_error_in_one_policy_affects_no_other(world):
    world.errors, world.acts = {"a": RuntimeError("bug")}, {"b"}
    findings = world.run()
    assert told(findings) == [("a", "Hold", "InternalError", ""), ("b", "Act", "R", "opened")]
    assert findings.decisions[0].message.startswith("an unexpected error (RuntimeError) while deciding")
    assert (findings.problem, world.isolation.faults) == (None, {"deciding": 1})


def test_error_while_a_remediation_is_opened_is_a_hold(world):
    world.errors, world.acts = {"open": RuntimeError("bug")}, {"a"}
    findings = world.run()
    assert told(findings)[0] == ("a", "Hold", "InternalError", "")
    assert findings.decisions[0].message.startswith("an unexpected error (RuntimeError) while opening")
    assert world.isolation.faults == {"opening": 1}


@pytest.mark.parametrize(("problem", "kept"), [(None, "InternalError"), (Problem("NoData", "x"), "NoData")])
def test_error_outside_of_a_policy_is_the_problem_of_the_objective(world, problem, kept):
    world.policies = None
    findings = world.run(problem)
    assert (findings.decisions, findings.problem.reason) == ((), kept)
    assert world.isolation.faults == {"deciding": 1}


@pytest.mark.parametrize(
    ("seconds", "until", "reason"),
    [(29.0, 1000.0, "R"), (31.0, 1000.0, "CycleTimeExhausted"), (9.0, 10.0, "R"), (11.0, 10.0, "CycleTimeExhausted")],
)
def test_a_decision_has_its_time(world, seconds, until, reason):
    world.policies, world.seconds = world.policies[:1], seconds
    ((_, verdict, told_reason, _),) = told(world.run(until=until))
    assert (verdict, told_reason) == ("Hold", reason)
    world.scheduler.begin_cycle()
    assert world.scheduler.postponed == ({"o-1"} if reason != "R" else set())


def test_a_namespace_whose_time_is_over_is_told_so_and_comes_first_in_the_next_cycle(world):
    world.policies = (*world.policies, *world.policies)
    world.seconds = 16.0
    findings = world.run()
    assert [reason for _, _, reason, _ in told(findings)] == ["R", "R", "ShareExhausted", "ShareExhausted"]
    world.scheduler.begin_cycle()
    assert world.scheduler.postponed == {"o-1"}
    assert len(world.cases) == 2
