"""Which remediations are driven, in which order and with what; what becomes of what goes wrong."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.support.virtual_time import run

from forestall.api import Remediation
from forestall.core.plan import TargetScale
from forestall.core.risk import ObjectiveState, Risk
from forestall.engine.fair_scheduling import FairScheduler
from forestall.engine.objective_status import Findings
from forestall.engine.remediation_controller import RemediationController
from forestall.engine.settings import Settings
from forestall.engine.snapshot import Snapshot
from forestall.engine.target_resolver import ResolvedTarget
from forestall.engine.workload import Workload
from forestall.errors import Unavailable, Unreadable
from forestall.isolation import ErrorIsolation
from forestall.registry import Registry

NOW = 5000.0
SHARE = 15.0


class World:
    """All that a controller drives and asks: it notes what it is asked, and does what a test says."""

    def __init__(self, slo, policy):
        self.registry, self.isolation = Registry(), ErrorIsolation()
        self.slo = slo
        self.registry.put("Namespace", {"metadata": {"name": "shop", "uid": "n", "labels": {"a": "b"}}, "spec": {}})
        self.registry.put("RemediationPolicy", policy.dump())
        self.findings: dict[str, Findings] = {}
        self.driven: list[tuple[str, Any]] = []
        self.held: list[tuple[str, str, str]] = []
        self.noted: list[str] = []
        self.censored: list[Any] = []
        self.read: list[Any] = []
        self.rechecks: list[Any] = []
        self.error: BaseException | None = None
        self.hold_error: BaseException | None = None
        self.seconds = 0.0
        self.phase: str | None = None
        self.awaited: set[str] = set()
        self.scheduler = FairScheduler(2, SHARE)
        self.controller = RemediationController(
            cluster=self,  # type: ignore[arg-type]
            registry=self.registry,
            settings=Settings(interval=30.0),
            isolation=self.isolation,
            reconciler=SimpleNamespace(reconcile=self.reconcile, hold=self.hold),  # type: ignore[arg-type]
            decider=SimpleNamespace(recheck=self.recheck),  # type: ignore[arg-type]
            targets=SimpleNamespace(read=self.target),  # type: ignore[arg-type]
            backup=SimpleNamespace(awaits=lambda r: r.name in self.awaited, note=lambda r: self.noted.append(r.name)),  # type: ignore[arg-type]
            forecasting=SimpleNamespace(censor=lambda *args: self.censored.append(args)),  # type: ignore[arg-type]
            scheduler=self.scheduler,
        )

    async def reconcile(self, remediation, view, recheck, now, reader):
        self.driven.append((remediation.name, view))
        self.rechecks.append(await recheck(remediation))
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return remediation if self.phase is None else changed(remediation, phase=self.phase)

    async def recheck(self, snapshot, remediation, *, evaluation, now, reader):
        return evaluation, now, reader

    async def hold(self, remediation, hold, now):
        if self.hold_error is not None:
            raise self.hold_error
        self.held.append((remediation.name, hold.reason, hold.message))
        return changed(remediation, reason=hold.reason)

    async def target(self, slo, *, with_scale):
        self.read.append((slo.name, with_scale))
        return ResolvedTarget(None, TargetScale(4, 3), Workload(protected=False, labels={}, pods=None))  # type: ignore[arg-type]

    def add(self, *remediations):
        for remediation in remediations:
            self.registry.put("Remediation", remediation.dump())

    def run(self, until=1000.0):
        snapshot = Snapshot({self.slo.uid: self.slo}, {}, [], [])

        async def drive():
            loop = asyncio.get_running_loop()
            with capture_logs() as self.logs:
                return await self.controller.reconcile(snapshot, self.findings, NOW, loop.time() + until)

        return run(drive())


def changed(remediation, **status):
    return Remediation.read({**remediation.dump(), "status": {**remediation.status.dump(), **status}})


def begun(remediation):
    return changed(remediation, steps=[{"change": "scale", "at": "1970-01-01T01:00:00Z"}])


@pytest.fixture
def world(slo, make_policy, make_signal):
    made = World(slo, make_policy())
    made.findings = {slo.uid: Findings(slo, Risk(ObjectiveState.AT_RISK, 0.9, None), signals=[make_signal()])}
    return made


def elsewhere(remediation, namespace):
    body = remediation.dump()
    body["metadata"].update(namespace=namespace, uid=f"{namespace}-{remediation.name}")
    return Remediation.read(body)


def test_only_unfinished_remediations_that_do_not_await_their_backup_are_reconciled(world, make_remediation):
    world.add(make_remediation("Verifying", episode=1), make_remediation("Succeeded", episode=2))
    world.add(make_remediation("Verifying", episode=3))
    world.awaited = {"early-0-3"}
    assert world.run() == []
    assert [name for name, _ in world.driven] == ["early-0-1"]
    assert (world.noted, world.held, world.censored) == ([], [], [])


def test_postponed_remediations_come_first_and_namespaces_take_turns(world, make_remediation):
    first = [make_remediation("Verifying", episode=number) for number in (1, 2, 3)]
    world.add(*first, elsewhere(first[0], "tea"))
    world.scheduler.postponed = frozenset({first[2].uid})
    world.run()
    assert [name for name, _ in world.driven] == ["early-0-3", "early-0-1", "early-0-1", "early-0-2"]


def test_an_end_is_reported_stored_and_noted(world, make_remediation):
    world.add(make_remediation("Verifying"))
    world.phase = "Succeeded"
    assert world.run() == [("Scale", "Succeeded")]
    assert world.registry.all(Remediation)[0].status.phase == "Succeeded"
    assert world.noted == ["early-0-1"]


def test_the_outlook_is_that_of_the_objective_with_the_replicas_that_serve(world, make_remediation):
    world.add(make_remediation("Verifying"))
    world.run()
    ((_, view),) = world.driven
    assert (view.fresh, view.probability, view.calm, view.unjudgeable) == (True, 0.9, 300.0, None)
    assert view.replicas_forecast is not None, "sized by the 3 replicas that serve"
    assert world.read == [("checkout", False)]


def test_replicas_are_read_for_what_changes_them_alone(world, make_remediation):
    world.add(make_remediation("Verifying", action={"restart": {}}))
    world.run()
    assert world.read == []


def test_what_has_no_fresh_data_says_whether_it_ever_will(world, make_remediation):
    world.findings = {}
    world.add(make_remediation("Verifying"))
    world.run()
    ((_, view),) = world.driven
    assert (view.fresh, view.unjudgeable.reason, view.withdrawn.reason) == (False, "Withdrawn", "Withdrawn")
    assert world.read == []


def test_a_recheck_knows_the_case_as_it_is_now(world, make_remediation):
    world.add(make_remediation("Verifying", episode=3))
    world.run()
    ((evaluation, now, reader),) = world.rechecks
    assert (evaluation.slo.name, evaluation.policy.name, evaluation.episode, evaluation.namespace_labels) == (
        "checkout",
        "early",
        3,
        {"a": "b"},
    )
    assert (now, evaluation.victim_of, evaluation.risk_since, reader is not None) == (NOW, None, None, True)
    world.registry.remove("RemediationPolicy", "p-1")
    world.run()
    assert world.rechecks[1][0] is None


@pytest.mark.parametrize(
    ("action", "has_steps", "censored"),
    [
        ({"scale": {"maxReplicas": 8}}, True, True),
        ({"scale": {"maxReplicas": 8}}, False, False),
        ({"notify": {"channel": "pager"}}, True, False),
    ],
)
def test_series_are_censored_while_a_remediation_changes_something(
    world, make_remediation, action, has_steps, censored
):
    remediation = make_remediation("Verifying", action=action)
    world.add(begun(remediation) if has_steps else remediation)
    world.run()
    assert world.censored == [(["o-1"], 3600.0, NOW)] * censored


def test_series_of_a_deleted_objective_are_censored_after_a_change(world, make_remediation):
    world.findings = {}
    world.add(begun(make_remediation("Verifying")))
    world.run()
    assert world.censored == [(["o-1"], 3600.0, NOW)]


@pytest.mark.parametrize("error", [Unavailable("no answer"), TimeoutError()])
def test_remediation_waits_for_a_cluster_that_does_not_answer(world, make_remediation, error):
    world.add(make_remediation("Verifying"))
    world.error = error
    assert world.run() == []
    assert (world.held, world.noted, world.isolation.faults) == ([], [], {})
    ((waits),) = world.logs
    assert (waits["event"], waits["remediation"], waits["namespace"]) == ("remediation waits", "early-0-1", "shop")
    assert waits["error"] == (str(error) or "no time was left for it in this cycle")


@pytest.mark.parametrize(
    ("error", "reason", "text", "faults"),
    [
        (Unreadable("its status is no map"), "ObjectUnreadable", "its status is no map", {}),
        (RuntimeError("bug"), "InternalError", "an unexpected error (RuntimeError) while driving", {"driving": 1}),
    ],
)
def test_error_in_one_remediation_is_its_hold_and_affects_no_other(
    world, make_remediation, error, reason, text, faults
):
    world.add(make_remediation("Verifying"), make_remediation("Verifying", episode=2))
    drive = world.reconcile

    async def one_fails(remediation, *args):
        world.error = error if remediation.name == "early-0-1" else None
        return await drive(remediation, *args)

    world.controller.reconciler.reconcile = one_fails
    world.phase = "Failed"
    assert world.run() == [("Scale", "Failed")]
    ((name, told, message),) = world.held
    assert (name, told, message.startswith(text), world.isolation.faults) == ("early-0-1", reason, True, faults)
    assert world.registry.get(Remediation, "early-0-1", "shop").status.reason == reason


@pytest.mark.parametrize("error", [Unavailable("no answer"), TimeoutError(), RuntimeError("bug")])
def test_hold_that_cannot_be_written_is_written_in_a_later_cycle(world, make_remediation, error):
    world.add(make_remediation("Verifying"))
    world.error, world.hold_error = Unreadable("x"), error
    assert world.run() == []
    assert world.isolation.faults == ({"noting": 1} if isinstance(error, RuntimeError) else {})
    assert any(log["event"] == "remediation waits" for log in world.logs) is not isinstance(error, RuntimeError)


def test_a_namespace_whose_time_is_over_goes_on_in_the_next_cycle(world, make_remediation):
    world.add(*(make_remediation("Verifying", episode=number) for number in (1, 2, 3)))
    world.seconds = SHARE + 1
    world.run()
    assert [name for name, _ in world.driven] == ["early-0-1"]
    world.scheduler.begin_cycle()
    assert world.scheduler.postponed == {"r-0-2", "r-0-3"}
    assert [log["remediation"] for log in world.logs] == ["early-0-2", "early-0-3"]
    assert "comes first in the next" in world.logs[0]["error"]


def test_reconciliation_is_canceled_at_the_end_of_its_phase(world, make_remediation):
    world.add(make_remediation("Verifying"))
    world.seconds = 12.0
    world.phase = "Succeeded"
    assert world.run(until=10.0) == []
    assert world.logs[0]["error"] == "no time was left for it in this cycle"
    assert world.run(until=13.0) == [("Scale", "Succeeded")]
