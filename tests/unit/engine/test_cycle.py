"""A whole cycle: from the objects in the cluster to decisions, API requests and Events.

Each row of the tables is a case: what differs from the default, the decision of the first policy, the writing requests
(without statuses of objectives), and the final state of the Remediation.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.support.harness import INTERVAL, NAMESPACE, SCALE, Harness, shop
from tests.support.settings import UnhurriedSettings
from tests.support.virtual_time import run

from forestall.api import Remediation
from forestall.core.clock_skew import ClockOffset
from forestall.engine import Settings
from forestall.engine.decider import Decider
from forestall.engine.snapshot import Snapshot
from forestall.engine.source_health import SourceHealth
from forestall.errors import Conflict, Forbidden, Unavailable, Unreadable
from forestall.ports import Query

OPENED = ["create Remediation"]
"""The requests that create a Remediation."""
TOLD = [*OPENED, "replace_status Remediation"]
"""The requests that create a Remediation and set the condition why it waits."""
DONE = [*TOLD, "replace_status Remediation", "write_scale Deployment", *["replace_status Remediation"] * 2]
"""The requests of a Remediation that is created, authorized, begun, executed and completed."""
ALLOWED = [{"namespaces": {}, "actions": ["Scale", "Restart", "Notify"]}]


def nothing(_: Harness) -> None:
    """Change nothing."""


@dataclass
class Row:
    """One case."""

    name: str
    given: Callable[[Harness], Any] = nothing
    policy: dict[str, Any] = field(default_factory=dict)
    decision: str = "Act LimitPassed"
    requests: list[str] = field(default_factory=lambda: DONE)
    phases: list[str] = field(default_factory=lambda: ["Verifying"])
    ready: str = "Monitoring"


def guardrail(**spec: Any) -> Callable[[Harness], Any]:
    return lambda h: h.apply("Guardrail", "all", {"allow": ALLOWED, **spec})


def pause(name: str = "p", **spec: Any) -> Callable[[Harness], Any]:
    return lambda h: h.apply("Pause", name, {"by": "jo", **spec})


def fail(verb: str, error: Exception, kind: str = "", **more: Any) -> Callable[[Harness], Any]:
    return lambda h: h.cluster.fail(verb, error, kind, **more)  # type: ignore[arg-type]


NOT_DONE: dict[str, Any] = {"requests": [], "phases": []}
ROWS = [
    Row("a limit that is passed is acted on"),
    Row("who observes says what it would do", policy={"mode": "Observe"}, decision="WouldAct LimitPassed", **NOT_DONE),
    Row("who must be asked is asked", policy={"mode": "Approve"}, requests=TOLD, phases=["AwaitingApproval"]),
    Row("a policy that is suspended holds", policy={"suspend": True}, decision="Hold Suspended", **NOT_DONE),
    Row(
        "a calm objective is left alone",
        lambda h: h.script.say("load", 10.0),
        decision="Hold NoForecast",
        **NOT_DONE,
    ),
    Row(
        "old data is no reason to act",
        lambda h: h.script.say("load", 300.0, age=600.0),
        decision="Hold NoForecast",
        ready="StaleData",
        **NOT_DONE,
    ),
    Row("a pause holds", pause(), decision="Hold Paused", **NOT_DONE),
    Row("a pause of another objective holds nothing", pause(objective="other")),
    Row("a pause that is over holds nothing", pause(until="2020-01-01T00:00:00Z")),
    Row("a Guardrail that allows it lets it pass", guardrail()),
    Row(
        "a Guardrail that does not allow it holds",
        guardrail(allow=[{"namespaces": {}, "actions": ["Restart"]}]),
        decision="Hold NotAllowed",
        **NOT_DONE,
    ),
    Row(
        "a Guardrail for the labels of other namespaces holds",
        guardrail(allow=[{"namespaces": {"matchLabels": {"tier": "gold"}}, "actions": ["Scale"]}]),
        decision="Hold NotAllowed",
        **NOT_DONE,
    ),
    Row(
        "a Guardrail for the labels of this namespace lets it pass",
        lambda h: (
            h.apply("Namespace", NAMESPACE, labels={"tier": "gold"}),
            guardrail(allow=[{"namespaces": {"matchLabels": {"tier": "gold"}}, "actions": ["Scale"]}])(h),
        ),
    ),
    Row(
        "a namespace that is not known is not acted in",
        lambda h: (guardrail()(h), h.cluster.objects.pop(("Namespace", "", NAMESPACE))),
        decision="Hold NoForecast",
        ready="SourceNotAllowed",
        **NOT_DONE,
    ),
    Row(
        "a target that is missing is told",
        lambda h: h.cluster.objects.pop(("Deployment", NAMESPACE, "checkout")),
        decision="Hold TargetMissing",
        ready="TargetMissing",
        **NOT_DONE,
    ),
    Row(
        "a target that can't be read now is tried again",
        fail("read", Unavailable("no answer"), "Deployment"),
        decision="Hold TargetUnknown",
        **NOT_DONE,
    ),
    Row(
        "an intent that is refused is not done",
        fail("create", Forbidden("not yours"), "Remediation"),
        decision="Hold NotRecorded",
        requests=OPENED,
        phases=[],
    ),
    Row(
        "an intent whose answer is lost is not done before a watch told of it",
        fail("create", Unavailable("connection reset"), "Remediation", done=True),
        decision="Hold NotRecorded",
        requests=OPENED,
        phases=["Pending"],
    ),
    Row(
        "an episode that can't be written down begins nothing",
        fail("apply_status", Forbidden("not yours"), "ServiceLevelObjective"),
        decision="",
        **NOT_DONE,
    ),
    Row(
        "a right that is missing is asked for first",
        lambda h: h.cluster.refusals.update({"Deployment": "not yours"}),
        decision="Hold Forbidden",
        **NOT_DONE,
    ),
    Row(
        "a scale that is refused waits for the right",
        fail("write_scale", Forbidden("not yours"), "Deployment"),
        requests=[*TOLD, "replace_status Remediation", "write_scale Deployment", "replace_status Remediation"],
        phases=["Executing"],
    ),
    Row(
        "a scale that somebody got ahead of looks again",
        fail("write_scale", Conflict("changed"), "Deployment", times=1),
        requests=[*DONE[:5], *DONE[3:]],
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_one_cycle(row):
    h = shop()
    h.policy(**row.policy)
    row.given(h)
    report = await h.cycle()
    assert (
        "; ".join(f"{one.verdict} {one.reason}" for one in h.decisions()),
        h.requests,
        [one.status.phase for one in h.remediations],
        h.condition("Ready") if h.slo().status.conditions else "Monitoring",
    ) == (row.decision, row.requests, row.phases, row.ready)
    assert report.faults == {}
    if row.phases == ["Verifying"]:
        assert h.replicas() == 6


async def test_standby_decides_and_writes_nothing_and_forgets_the_episode(monkeypatch):
    h = shop()
    h.policy()
    report = await h.cycle(2, leading=False)
    assert (h.cluster.written, h.slo().status.episode) == ([], None)
    assert report.findings["ServiceLevelObjective-checkout"].risk.cause is not None, "it observes all the same"
    h.policy(mode="Observe")
    await h.cycle()
    assert h.episode.number == 1
    await h.cycle(leading=False)
    h.cluster.change("ServiceLevelObjective", "checkout", {"status": {"episode": {"number": 7}}})
    await h.cycle(2)
    assert h.episode.number == 7, "what another leader wrote down counts"


async def test_the_windows_of_thresholds_are_read_in_pieces_beside_the_past_of_series():
    h = shop()
    h.objective(indicator={"threshold": {"query": "queue", "operator": "lt", "value": 5}}, window="1h")
    asked: set[Any] = set()
    past = h.script.range

    async def noted(source: str, queries: Sequence[Query], start: float, end: float, step: float) -> Any:
        asked.update(query.key for query in queries)
        return await past(source, queries, start, end, step)

    h.script.range = noted  # type: ignore[method-assign]
    await h.cycle(3)
    assert {"load", "sli:bad", "sli:all"} <= {key[1] for key in asked}


async def test_episode_ends_after_the_calm_period():
    h = shop()
    h.script.past["load"] = 10.0
    h.policy(mode="Observe")
    await h.cycle()
    first = h.episode
    assert (first.number, bool(first.since)) == (1, True)
    h.script.say("load", 10.0)
    await h.cycle(10)
    assert (h.episode.number, bool(h.episode.since)) == (1, True)
    await h.cycle(2)
    assert (h.episode.number, h.episode.since) == (1, "")
    h.script.say("load", 300.0)
    await h.cycle()
    assert h.episode.number == 2


async def test_unknown_risk_neither_begins_nor_ends_an_episode():
    h = shop()
    h.policy(mode="Observe")
    await h.cycle()
    h.script.say("load", 300.0, age=600.0)
    await h.cycle(20)
    assert bool(h.episode.since)


async def test_first_of_two_policies_by_name_acts_and_both_record_their_decision():
    h = shop()
    h.policy("b")
    h.policy("a")
    await h.cycle()
    assert [(one.policy, one.verdict, bool(one.remediation)) for one in h.decisions()] == [
        ("a", "Act", True),
        ("b", "Act", False),
    ]
    assert h.requests == DONE
    h.cluster.change("Deployment", "checkout", {"spec": {"replicas": 3}})
    await h.cycle()
    assert [one.verdict for one in h.decisions()] == ["Hold", "Hold"]
    assert len(h.remediations) == 1


async def test_two_objectives_of_one_workload_cause_one_remediation():
    h = shop()
    h.objective("payment", target={"name": "checkout"})
    h.policy()
    await h.cycle()
    reasons = {one.reason for name in ("checkout", "payment") for one in h.decisions(name)}
    assert reasons == {"LimitPassed", "RemediationActive"}
    assert len(h.remediations) == 1


def two(h: Harness, names: tuple[str, ...] = ("checkout", "payment")) -> None:
    for name in names[1:]:
        h.deployment(name)
        h.objective(name)


async def test_decisions_of_the_same_cycle_count_against_budgets():
    h = shop()
    two(h, ("checkout", "payment", "search"))
    h.policy()
    guardrail(budget={"actions": 2, "per": "1h"})(h)
    await h.cycle()
    reasons = sorted(h.decisions(name)[0].reason for name in ("checkout", "payment", "search"))
    assert reasons == ["BudgetExhausted", "LimitPassed", "LimitPassed"]
    assert len(h.remediations) == 2


@pytest.mark.parametrize(
    ("error", "reasons"),
    [
        (Forbidden("not yours"), ["LimitPassed", "NotRecorded"]),
        (Unavailable("no answer"), ["NotRecorded", "RemediationActive"]),
    ],
)
async def test_creation_with_unknown_result_blocks_and_refused_creation_does_not(error, reasons):
    h = shop()
    h.objective("payment", target={"name": "checkout"})
    h.policy()
    h.cluster.fail("create", error, "Remediation", times=1)
    await h.cycle()
    assert sorted(h.decisions(name)[0].reason for name in ("checkout", "payment")) == reasons


async def test_intent_created_despite_a_lost_response_is_found_again():
    h = shop()
    h.policy()
    h.cluster.fail("create", Unavailable("connection reset"), "Remediation", times=1, done=True)
    await h.cycle()
    assert "could not be written down: connection reset" in h.decisions()[0].message
    await h.cycle()
    assert (h.replicas(), [one.status.phase for one in h.remediations]) == (6, ["Verifying"])


async def test_deleted_remediation_is_not_repeated_in_the_same_episode():
    h = shop()
    h.policy(mode="Approve")
    await h.cycle(2)
    (name,) = [one.name for one in h.remediations]
    del h.cluster.objects["Remediation", NAMESPACE, name]
    await h.cycle()
    assert [one.name for one in h.remediations] == []
    assert (h.decisions()[0].reason, "deleted since" in h.decisions()[0].message) == ("AlreadyDecided", True)
    h.restart()
    await h.cycle()
    assert h.decisions()[0].reason == "AlreadyDecided", "another process knows it from the status"


async def test_ended_remediation_unknown_to_the_registry_is_not_repeated_in_the_episode():
    h = shop()
    h.policy(mode="Approve")
    await h.cycle(2)
    (remediation,) = h.remediations
    ended = {"phase": "Aborted", "ended": "2027-01-15T08:00:10Z", "reason": "ApprovalExpired"}
    h.cluster.change("Remediation", remediation.name, {"status": ended})
    h.cluster.change("ServiceLevelObjective", "checkout", {"status": {"episode": {"decided": []}}})
    h.restart()
    h.watch()
    h.registry.prune("Remediation", h.registry.uids("Remediation"))
    await h.engine.cycle(h.now, leading=True)
    (decision,) = h.decisions()
    assert (decision.verdict, decision.reason) == ("Hold", "AlreadyDecided")
    assert "ended: Aborted" in decision.message


async def test_remediation_continues_over_cycles_and_its_end_is_counted_once():
    h = shop()
    h.script.past["load"] = 10.0
    h.policy(actions=[{"scale": {**SCALE["scale"], "maxReplicas": 6, "stabilizationWindow": "1m"}}])
    await h.cycle(2)
    assert (h.replicas(), len(h.remediations)) == (6, 1)
    h.script.say("load", 10.0)
    ended: list[Any] = []
    for _ in range(30):
        h.now += 20.0
        ended += (await h.cycle()).ended
        if ended:
            break
    ended += (await h.cycle(2)).ended
    assert (h.replicas(), h.remediations[0].status.phase) == (2, "Succeeded")
    assert ended == [("Scale", "Succeeded")]


async def test_approved_remediation_is_executed():
    h = shop()
    h.policy(mode="Approve")
    await h.cycle()
    (remediation,) = h.remediations
    approval = {"spec": {"approval": {"decision": "Approved", "by": "jo"}}}
    h.cluster.change("Remediation", remediation.name, approval)
    await h.cycle()
    assert h.replicas() == 6


async def test_victim_is_not_remediated_and_names_the_dependency_at_risk():
    h = shop()
    h.deployment("database")
    h.objective("database")
    h.objective("checkout", dependsOn=["database"])
    h.policy(mode="Auto", objectives={"matchLabels": {"team": "shop"}})
    h.cluster.change("ServiceLevelObjective", "checkout", {"metadata": {"labels": {"team": "shop"}}})
    await h.cycle()
    assert (h.decisions()[0].reason, "database" in h.decisions()[0].message) == ("DependencyAtRisk", True)
    assert h.remediations == []


async def test_wrong_clock_stops_remediations_and_retention():
    h = shop()
    h.policy(mode="Approve")
    await h.cycle()
    (remediation,) = h.remediations
    h.cluster.change("Remediation", remediation.name, {"spec": {"approval": {"decision": "Approved", "by": "jo"}}})
    ahead = h.now - asyncio.get_running_loop().time()
    h.api_clock = ClockOffset(ahead + 3600, ahead + 3601)
    before = len(h.requests)
    report = await h.cycle()
    assert (h.requests[before:], report.ended) == ([], [])
    assert report.clocks.global_reason is not None
    assert {one.reason for one in h.decisions()} == {"ClockSkew"}
    h.api_clock = None
    await h.cycle()
    assert h.replicas() == 6


@pytest.fixture
def silent() -> Iterator[None]:
    """Unexpected errors are logged with a traceback, which is slow to format."""
    with capture_logs():
        yield


def failing(original: Any, name: str) -> Any:
    async def call(self: Any, scene: Any, what: Any, *args: Any) -> Any:
        slo = getattr(what, "slo", None) or getattr(getattr(what, "evaluation", None), "slo", None)
        if slo is not None and slo.name == name:
            raise RuntimeError("by one tenant's object")
        return await original(self, scene, what, *args)

    return call


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("step", ["decide", "confirm"])
async def test_error_in_one_decision_is_reported_and_affects_no_other(monkeypatch, step):
    monkeypatch.setattr(Decider, step, failing(getattr(Decider, step), "payment"))
    h = shop()
    two(h)
    h.policy()
    report = await h.cycle()
    assert (h.decisions("payment")[0].verdict, h.decisions("payment")[0].reason) == ("Hold", "InternalError")
    assert h.decisions()[0].verdict == "Act"
    assert len(report.faults) == 1


@pytest.mark.usefixtures("silent")
async def test_error_in_one_remediation_is_reported_and_affects_no_other(monkeypatch):
    h = shop()
    two(h)
    h.policy()
    await h.cycle()
    assert [one.status.phase for one in h.remediations] == ["Verifying"] * 2
    advance = h.engine._reconciler.reconcile

    async def broken(remediation: Any, *args: Any) -> Any:
        if remediation.spec.intent.target.name == "payment":
            raise RuntimeError("by one tenant's object")
        return await advance(remediation, *args)

    monkeypatch.setattr(h.engine._reconciler, "reconcile", broken)
    h.script.say("load", 10.0)
    await h.cycle()
    phases = {one.spec.intent.target.name: one.status.reason for one in h.remediations}
    assert phases["payment"] == "InternalError"
    assert phases["checkout"] != "InternalError"


async def test_unparsable_object_is_reported_by_its_remediation(monkeypatch):
    h = shop()
    h.policy()
    await h.cycle()

    async def unreadable(*_: Any) -> Any:
        raise Unreadable("Deployment checkout: its status is no map")

    monkeypatch.setattr(h.engine._reconciler, "reconcile", unreadable)
    report = await h.cycle()
    (remediation,) = h.remediations
    assert (remediation.status.phase, remediation.status.reason) == ("Verifying", "ObjectUnreadable")
    assert "its status is no map" in remediation.status.message
    assert (report.faults, h.registry.all(Remediation)[0].status.reason) == ({}, "ObjectUnreadable")


async def test_remediation_waits_after_a_timed_out_request_and_continues_in_the_next_cycle():
    h = shop()
    h.policy()
    h.cluster.fail("write_scale", Unavailable("no answer"), "Deployment", times=1)
    report = await h.cycle()
    assert (h.replicas(), report.faults, report.ended) == (2, {}, [])
    await h.cycle()
    assert h.replicas() == 6


async def test_action_on_a_workload_is_censored_in_all_forecasts_about_it(monkeypatch):
    h = shop()
    h.objective("payment", target={"name": "checkout"})
    h.objective("search", target={"name": "search"})
    h.deployment("search")
    h.policy(objectives={"matchLabels": {"team": "shop"}})
    told: list[Any] = []
    monkeypatch.setattr(h.engine._forecasting, "censor", lambda uids, since, now: told.append((sorted(uids), since)))
    await h.cycle()
    assert told == [(["ServiceLevelObjective-checkout", "ServiceLevelObjective-payment"], h.now - INTERVAL)]


async def test_notifying_action_changes_no_forecast(monkeypatch):
    h = shop()
    h.apply("NotificationChannel", "pager", {"type": "Slack", "url": "https://example.com/"})
    h.policy(actions=[{"notify": {"channel": "pager"}}])
    told: list[Any] = []
    monkeypatch.setattr(h.engine._forecasting, "censor", lambda *args: told.append(args))
    assert (await h.cycle()).ended == []
    assert [(channel, notice.topic) for channel, notice in h.people.told] == [("pager", "Notify")]
    assert (await h.cycle()).ended == [("Notify", "Succeeded")]
    assert (told, len(h.people.told)) == ([], 1)


def test_slow_decision_is_postponed(monkeypatch):
    async def hang(*_: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(Decider, "decide", hang)
    h = shop(settings=Settings(threads=False))
    h.policy()
    run(h.cycle())
    assert (h.decisions()[0].verdict, h.decisions()[0].reason) == ("Hold", "CycleTimeExhausted")
    assert h.decisions()[0].message == "it took longer than 30s to decide: it is tried again"
    assert h.requests == []


async def test_objective_is_at_risk_from_the_lowest_probability_of_its_policies():
    h = shop()
    h.policy("late", when={"probability": 0.95})
    h.policy("soon", when={"probability": 0.4})
    h.watch()
    scene = Snapshot.of(h.registry)
    assert h.engine._assessor.threshold(scene, "ServiceLevelObjective-checkout") == 0.4
    scene = replace(scene, policies={"ServiceLevelObjective-checkout": []})
    assert h.engine._assessor.threshold(scene, "ServiceLevelObjective-checkout") == h.settings.at_risk_from


@pytest.mark.parametrize(("interval", "wait"), [(2.0, 0.1), (9.0, 0.45), (30.0, 0.5)])
def test_a_notification_is_waited_for_a_twentieth_of_an_interval(interval, wait):
    h = shop(settings=Settings(interval=interval, threads=False))
    assert h.engine._delivery_tracker._wait == pytest.approx(wait)


def test_rights_are_asked_about_for_a_quarter_of_an_interval(monkeypatch):
    h = shop(settings=Settings(interval=8.0, threads=False))
    h.policy()
    seconds: list[float] = []

    async def check(snapshot: Any, policies: Any, until: float) -> None:
        seconds.append(until - asyncio.get_running_loop().time())
        assert [policy.name for policy in policies] == ["early"]

    monkeypatch.setattr(h.engine._publisher.permissions, "check", check)
    run(h.cycle())
    assert seconds == [2.0]


async def test_a_report_says_how_the_sources_did_and_what_waits():
    h = shop()
    h.policy(mode="Observe")
    report = await h.cycle()
    assert report.sources == {"main": SourceHealth(up=True, late=False)}
    assert (report.waiting, report.ended) == (0, [])
    assert report.decisions == {("WouldAct", "LimitPassed"): 1}
    assert report.objectives == {"ServiceLevelObjective-checkout": "AtRisk"}


@pytest.mark.parametrize("threads", [True, False])
async def test_what_takes_long_is_done_in_a_thread_where_that_is_asked_for(monkeypatch, threads):
    h = shop(settings=UnhurriedSettings(interval=INTERVAL, threads=threads))
    names: set[bool] = set()
    forecast = h.engine._forecasting.forecast

    def noted(*args: Any) -> Any:
        names.add(threading.current_thread() is threading.main_thread())
        return forecast(*args)

    monkeypatch.setattr(h.engine._forecasting, "forecast", noted)
    await h.cycle()
    assert names == {not threads}


@pytest.mark.usefixtures("silent")
async def test_an_objective_that_makes_the_forecast_fail_says_so(monkeypatch):
    h = shop()
    monkeypatch.setattr(h.engine._forecasting, "failures", {})
    forecast = h.engine._forecasting.forecast

    def failing(*args: Any) -> Any:
        signals = forecast(*args)
        h.engine._forecasting.failures = {"ServiceLevelObjective-checkout": "it made the forecast fail"}
        return signals

    monkeypatch.setattr(h.engine._forecasting, "forecast", failing)
    await h.cycle()
    ready = next(one for one in h.slo().status.conditions if one.type == "Ready")
    assert (ready.reason, ready.message) == ("InternalError", "it made the forecast fail")
