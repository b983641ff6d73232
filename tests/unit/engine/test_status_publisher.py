"""How often statuses are written where there are many, and their content."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest
from structlog.testing import capture_logs
from tests.support.memory_cluster import MemoryCluster
from tests.support.turns import counted_turns
from tests.support.virtual_time import run

from forestall.actions.notify import NoChannels
from forestall.api import (
    Guardrail,
    MetricSource,
    NotificationChannel,
    Pause,
    Remediation,
    RemediationPolicy,
    ServiceLevelObjective,
)
from forestall.api.guardrail import Spent
from forestall.api.service_level_objective import Decision, Episode, Record
from forestall.api.times import stamp
from forestall.core.risk import ObjectiveState, Risk
from forestall.engine.delivery_tracker import DeliveryTracker
from forestall.engine.objective_status import Findings, Problem
from forestall.engine.readings import ErrorRatios
from forestall.engine.selection import Selection
from forestall.engine.settings import Settings
from forestall.engine.snapshot import Snapshot
from forestall.engine.status_publisher import StatusPublisher
from forestall.errors import Conflict, NotFound, NotSent, Unavailable
from forestall.isolation import ErrorIsolation
from forestall.ports import Cluster
from forestall.registry import Invalid, Registry

INTERVAL = 30.0


class Written:
    """Implements the status methods of the `Cluster` port: records the names of the objects whose status was
    written.
    """

    def __init__(self):
        self.names = []
        self.statuses = {}
        self.versions = []

    async def apply_status(self, ref, status, resource_version):
        self.names.append(ref.name)
        self.statuses[ref.name] = status
        self.versions.append(resource_version)
        return {"metadata": {"resourceVersion": f"{resource_version}+"}}

    async def record(self, event):
        pass

    def take(self):
        taken, self.names = self.names, []
        return taken


@pytest.fixture
def cluster():
    return Written()


@pytest.fixture
def publish(cluster, slo):
    """Publish the risk of so many objectives, with those in `troubled` at risk, so many cycles after the start."""
    registry = Registry()
    publisher = StatusPublisher(
        cast("Cluster", cluster), registry, Settings(interval=INTERVAL), DeliveryTracker(NoChannels())
    )

    async def publish(count, cycle, probability, troubled=()):
        found = {}
        for number in range(count):
            metadata = {"name": f"o-{number}", "uid": f"u-{number}", "resourceVersion": "1"}
            body = {"metadata": {**slo.metadata.dump(), **metadata}, "spec": slo.spec.dump()}
            if cycle == 0:
                registry.put(ServiceLevelObjective.KIND, body)
            state = ObjectiveState.AT_RISK if f"o-{number}" in troubled else ObjectiveState.HEALTHY
            found[f"u-{number}"] = Findings(ServiceLevelObjective.read(body), Risk(state, probability, None))
        await publisher.publish(found, 1000.0 + cycle * INTERVAL)

    return publish


async def test_new_statuses_are_written_first_at_risk_and_bounded_by_cycle(publish, cluster):
    troubled = {f"o-{number}" for number in range(390, 400)}
    await publish(400, 0, 0.1, troubled)
    first = cluster.take()
    assert len(first) == 250
    assert set(first[:10]) == troubled
    await publish(400, 1, 0.1, troubled)
    second = cluster.take()
    assert len(second) == 150
    assert not set(first) & set(second)


async def test_unchanged_status_is_not_written(publish, cluster):
    await publish(3, 0, 0.1)
    cluster.take()
    await publish(3, 5, 0.1)
    assert not cluster.take()


async def test_status_is_written_for_the_version_of_the_last_write_until_the_watch_delivers_it(publish, cluster):
    await publish(1, 0, 0.1)
    await publish(1, 5, 0.9)
    assert cluster.versions == ["1", "1+"]


async def test_figures_are_written_later(publish, cluster):
    await publish(150, 0, 0.1)
    cluster.take()
    await publish(150, 1, 0.2)
    assert not cluster.take()
    await publish(150, 2, 0.3)
    first = cluster.take()
    await publish(150, 3, 0.4)
    second = cluster.take()
    assert len(first) == 100
    assert len(set(first) | set(second)) == 150


async def test_figures_of_objectives_at_risk_are_written_first(publish, cluster):
    troubled = {f"o-{number}" for number in range(140, 150)}
    await publish(150, 0, 0.9, troubled)
    cluster.take()
    for cycle in (2, 4, 6):
        await publish(150, cycle, 0.9 + cycle / 100, troubled)
        assert troubled < set(cluster.take())


async def test_changes_and_figures_of_equal_age_keep_their_order(publish, cluster):
    """Also where a figure stands between two changes."""
    await publish(3, 0, 0.1)
    cluster.take()
    await publish(3, 4, 0.2, {"o-0", "o-2"})
    assert cluster.take() == ["o-0", "o-2", "o-1"]


async def test_constant_changes_in_one_namespace_delay_no_other(cluster, slo):
    """Kind: no share per namespace. 600 objectives at risk, each time for another reason, use up the writes of a
    cycle.
    """
    registry = Registry()
    publisher = StatusPublisher(
        cast("Cluster", cluster), registry, Settings(interval=INTERVAL), DeliveryTracker(NoChannels())
    )

    def found(namespace, number, state, cycle):
        name = f"{namespace}-{number}"
        metadata = {"name": name, "uid": name, "namespace": namespace, "resourceVersion": "1"}
        body = {"metadata": {**slo.metadata.dump(), **metadata}, "spec": slo.spec.dump()}
        registry.put(ServiceLevelObjective.KIND, body)
        return Findings(ServiceLevelObjective.read(body), Risk(state, 0.9, None), Problem(f"Reason{cycle}", "x"))

    for cycle in range(6):
        every = [found("greedy", number, ObjectiveState.AT_RISK, cycle) for number in range(600)]
        every += [found("victim", 0, ObjectiveState.HEALTHY, cycle), found("another", 0, ObjectiveState.HEALTHY, 0)]
        await publisher.publish({each.slo.uid: each for each in every}, 1000.0 + cycle * INTERVAL)
        names = cluster.take()
        assert len(names) == 250
        assert "victim-0" in names[:3]
        assert ("another-0" in names) == (cycle == 0)


async def test_statuses_of_many_policies_yield_to_other_tasks(cluster, make_policy):
    """Kind: cost that users control. The statuses of 200 policies kept the lease from being renewed."""
    registry = Registry()
    for number in range(200):
        body = make_policy().dump()
        body["metadata"] |= {"name": f"p-{number}", "uid": f"p-{number}", "resourceVersion": "1"}
        assert not isinstance(registry.put(RemediationPolicy.KIND, body), Invalid)
    publisher = StatusPublisher(
        cast("Cluster", cluster), registry, Settings(interval=INTERVAL), DeliveryTracker(NoChannels())
    )

    async with counted_turns() as turns:
        await publisher.publish({}, 1000.0)
    assert turns.count >= 200


async def test_repaired_objective_has_a_status_again(cluster, slo):
    registry = Registry()
    publisher = StatusPublisher(
        cast("Cluster", cluster), registry, Settings(interval=INTERVAL), DeliveryTracker(NoChannels())
    )
    body = {"metadata": {**slo.metadata.dump(), "resourceVersion": "1"}, "spec": {}}
    assert isinstance(registry.put(ServiceLevelObjective.KIND, body), Invalid)
    await publisher.publish({}, 1000.0)
    assert len(cluster.take()) == 1
    body = {"metadata": {**slo.metadata.dump(), "resourceVersion": "2"}, "spec": slo.spec.dump()}
    mended = registry.put(ServiceLevelObjective.KIND, body)
    assert isinstance(mended, ServiceLevelObjective)
    await publisher.publish({mended.uid: Findings(mended, Risk(ObjectiveState.HEALTHY, 0.1, None))}, 1030.0)
    assert len(cluster.take()) == 1


@pytest.mark.parametrize(
    ("episode", "locked"),
    [
        (Episode(number=1, since="1970-01-01T00:01:00Z"), "False"),  # the rest of the ladder is still open
        (Episode(number=1), "True"),
        (Episode(number=2, since="1970-01-01T00:01:00Z"), "True"),
    ],
)
async def test_locked_policy_reports_that_a_person_must_review_it(
    cluster, slo, make_policy, make_remediation, episode, locked
):
    registry = Registry()
    for version, one in enumerate((make_policy(), make_remediation("Failed")), 1):
        body = one.dump()
        body["metadata"]["resourceVersion"] = str(version)
        assert not isinstance(registry.put(one.KIND, body), Invalid)
    publisher = StatusPublisher(
        cast("Cluster", cluster), registry, Settings(interval=INTERVAL), DeliveryTracker(NoChannels())
    )
    found = Findings(slo=slo, risk=Risk(ObjectiveState.HEALTHY, 0.1, None), episode=episode)
    await publisher.publish({slo.uid: found}, 1000.0)
    (condition,) = [each for each in cluster.statuses["early"]["conditions"] if each["type"] == "Locked"]
    assert condition["status"] == locked
    assert ("its last remediation for checkout did not help" in condition["message"]) == (locked == "True")


async def test_status_of_a_pause_says_whether_it_is_in_force(cluster):
    registry = Registry()
    metadata = {"name": "all", "namespace": "shop", "uid": "p", "resourceVersion": "1"}
    registry.put("Pause", {"metadata": metadata, "spec": {"until": "1970-01-01T00:20:00Z"}})
    publisher = StatusPublisher(
        cast("Cluster", cluster), registry, Settings(interval=INTERVAL), DeliveryTracker(NoChannels())
    )
    for now, reason in ((1000.0, "Active"), (1200.0, "Expired")):
        await publisher.publish({}, now)
        (condition,) = cluster.statuses["all"]["conditions"]
        assert condition["reason"] == reason


async def test_heartbeat_renews_statuses_at_little_cost(publish, cluster):
    """Kind: a status that stays unchanged when no operator runs any more. 120 idle objectives are written every 10
    minutes.
    """
    await publish(120, 0, 0.1)
    looked = {status["lastEvaluated"] for status in cluster.statuses.values()}
    cluster.take()
    for cycle in range(1, 20):
        await publish(120, cycle, 0.1)
    assert not cluster.take()
    await publish(120, 20, 0.1)
    first = cluster.take()
    await publish(120, 21, 0.1)
    assert (len(first), len(cluster.take())) == (100, 20)
    assert not looked & {status["lastEvaluated"] for status in cluster.statuses.values()}


class Busy(Written):
    """A cluster in which another client changes an object before each write of its status."""

    def __init__(self, status=None):
        super().__init__()
        self.version, self.status, self.writes = 5, status, 0

    async def read(self, ref):
        return {"metadata": {"name": ref.name, "resourceVersion": str(self.version)}, "status": self.status}

    async def apply_status(self, ref, status, resource_version):
        self.writes += 1
        self.version += self.writes <= 20
        if resource_version != str(self.version):
            raise Conflict("changed")
        self.status = status
        return await super().apply_status(ref, status, resource_version)


async def test_status_is_written_although_another_client_changes_the_objective_constantly(slo):
    """The kind: a required write loses against any client that writes more often."""
    cluster = Busy()
    publisher = StatusPublisher(
        cast("Cluster", cluster), Registry(), Settings(interval=INTERVAL), DeliveryTracker(NoChannels())
    )
    await publisher.write(Findings(slo, Risk(ObjectiveState.HEALTHY, 0.1, None)), 1000.0)
    assert cluster.status["state"] == "Healthy"
    cluster.writes = 0
    await publisher.write(Findings(slo, Risk(ObjectiveState.AT_RISK, 0.9, None)), 1030.0)
    assert cluster.status["state"] == "AtRisk"


async def test_status_written_by_another_client_is_a_conflict(slo):
    cluster = Busy(status={"state": "Breached", "episode": {"number": 7}})
    publisher = StatusPublisher(
        cast("Cluster", cluster), Registry(), Settings(interval=INTERVAL), DeliveryTracker(NoChannels())
    )
    with pytest.raises(Conflict):
        await publisher.write(Findings(slo, Risk(ObjectiveState.HEALTHY, 0.1, None)), 1000.0)
    assert cluster.status["state"] == "Breached"


# What is said of each object, over the cluster in memory


class Case:
    """A publisher, and all that it publishes."""

    def __init__(self, **settings):
        self.cluster, self.registry, self.tracker = MemoryCluster(), Registry(), DeliveryTracker(NoChannels())
        self.isolation = ErrorIsolation()
        self.publisher = StatusPublisher(
            self.cluster, self.registry, Settings(interval=INTERVAL, **settings), self.tracker, self.isolation
        )
        self.findings: dict[str, Findings] = {}

    def put(self, model, name, spec=None, namespace="shop", **more):
        metadata = {
            "name": name,
            "uid": f"{model.KIND}-{name}",
            **({"namespace": namespace} if model.NAMESPACED else {}),
        }
        body = self.cluster.insert({"kind": model.KIND, "metadata": metadata, "spec": spec or {}, **more})
        return self.registry.put(model.KIND, body)

    def objective(self, slo, name="checkout", state=ObjectiveState.HEALTHY, **more):
        stored = self.put(ServiceLevelObjective, name, slo.spec.dump(), **more)
        self.findings[stored.uid] = Findings(stored, Risk(state, 0.5, None))
        return stored

    async def publish(self, now=1000.0, **changes):
        for uid, findings in self.findings.items():
            self.findings[uid] = replace(findings, **changes)
        await self.publisher.publish(self.findings, now)

    def status(self, model, name, namespace="shop"):
        return self.cluster.objects[model.KIND, namespace if model.NAMESPACED else "", name].get("status", {})

    def ready(self, model, name):
        (found,) = [one for one in self.status(model, name)["conditions"] if one["type"] == "Ready"]
        return found["status"], found["reason"], found["message"]

    @property
    def events(self):
        return [(event.kind, event.reason, event.message) for event in self.cluster.events]

    @property
    def writes(self):
        return [request.name for request in self.cluster.requests if request.verb == "apply_status"]


@pytest.fixture
def case():
    return Case()


def risk(state, cause=None):
    return {"risk": Risk(state, 0.9, cause)}


async def test_each_change_of_state_is_an_event(case, slo, make_signal):
    case.objective(slo)
    await case.publish()
    assert case.events == [], "that all is well from the beginning is no news"
    states = [
        (ObjectiveState.AT_RISK, make_signal(), ("Warning", "BreachForecast")),
        (ObjectiveState.BREACHED, make_signal(), ("Warning", "Breached")),
        (ObjectiveState.AT_RISK, make_signal(101.0), ("Warning", "LimitPassed")),
        (ObjectiveState.UNKNOWN, None, ("Warning", "DataNotFresh")),
        (ObjectiveState.HEALTHY, None, ("Normal", "Recovered")),
    ]
    for number, (state, cause, _) in enumerate(states, 1):
        await case.publish(1000.0 + number, **risk(state, cause))
        await case.publish(1000.5 + number)
    assert [event[:2] for event in case.events] == [expected for *_, expected in states]
    assert case.events[-1][2] == "no breach is forecast any more"


async def test_a_risk_from_the_beginning_is_an_event(case, slo):
    case.objective(slo, state=ObjectiveState.BREACHED)
    await case.publish()
    assert case.events == [("Warning", "Breached", "the error budget burns fast now")]


def decided(verdict, reason="R", policy="early", action=""):
    return Decision(policy=policy, verdict=verdict, reason=reason, message="m", action=action)


@pytest.mark.parametrize(
    ("decision", "event"),
    [
        (decided("Act", "LimitPassed", action="Scale"), ("Normal", "Act", "early: m")),
        (decided("WouldAct", "LimitPassed"), ("Normal", "WouldAct", "early: m")),
        (decided("Hold", "Protected"), ("Warning", "Protected", "early: m")),
        (decided("Hold", "BelowThreshold"), None),
        (decided("Hold", "NoForecast"), None),
        (decided("Hold", "RemediationActive"), None),
    ],
)
async def test_a_decision_is_an_event_once_where_there_is_something_to_be_done(case, slo, decision, event):
    case.objective(slo)
    await case.publish(decisions=(decision,))
    await case.publish(1001.0, decisions=(decision,))
    assert case.events == ([] if event is None else [event])
    assert [one.action for one in case.cluster.events] == [decision.action] * (event is not None)
    await case.publish(1002.0, decisions=(decided("Hold", "Other"),))
    assert len(case.events) == 1 + (event is not None)


async def test_what_is_not_written_is_no_event_and_is_tried_again(case, slo):
    case.objective(slo, state=ObjectiveState.BREACHED)
    for error in (Conflict("changed"), NotFound("gone"), Unavailable("no answer")):
        case.cluster.fail("apply_status", error, times=float("inf"))
        with capture_logs() as logs:
            await case.publish()
        case.cluster.mend()
        assert case.events == []
        assert [log["error"] for log in logs] == (["no answer"] if isinstance(error, Unavailable) else [])
    await case.publish()
    assert len(case.events) == 1


async def test_an_event_that_can_not_be_recorded_is_logged_and_keeps_nothing(case, slo, monkeypatch):
    async def refuse(_):
        raise Unavailable("no answer")

    monkeypatch.setattr(case.cluster, "record", refuse)
    case.objective(slo, state=ObjectiveState.BREACHED)
    with capture_logs() as logs:
        await case.publish()
    assert [(log["event"], log["reason"]) for log in logs] == [("event not recorded", "Breached")]
    assert case.status(ServiceLevelObjective, "checkout")["state"] == "Breached"


async def test_sources_guardrails_channels_and_pauses_say_how_they_stand(case, slo):
    case.put(MetricSource, "default", {"url": "http://x"})
    case.put(MetricSource, "idle", {"url": "http://x"})
    case.put(Guardrail, "all")
    case.put(Pause, "p", {"by": "jo"})
    case.put(NotificationChannel, "pager", {"type": "Slack", "url": "https://example.com/"})
    case.objective(slo)
    await case.publish()
    assert case.ready(MetricSource, "default") == ("True", "Available", "the source answers")
    assert case.status(MetricSource, "default")["objectives"] == 1
    assert case.ready(MetricSource, "idle")[:2] == ("Unknown", "NotUsed")
    assert case.ready(Guardrail, "all") == ("True", "Active", "every action is held against it")
    assert case.ready(Pause, "p") == ("True", "Active", "nothing is changed for namespace shop")
    assert case.ready(NotificationChannel, "pager") == ("Unknown", "NotUsed", "nothing has been sent by it")
    before = len(case.writes)
    await case.publish()
    assert len(case.writes) == before, "what did not change is not written"


async def test_a_pause_that_ended_says_when(case):
    case.put(Pause, "p", {"by": "jo", "until": "1970-01-01T00:10:00Z"})
    await case.publish()
    assert case.ready(Pause, "p") == (
        "False",
        "Expired",
        "it ended by itself at 1970-01-01T00:10:00Z; it can be deleted",
    )


async def test_a_channel_says_how_the_last_notification_went(case, monkeypatch):
    case.put(NotificationChannel, "pager", {"type": "Slack", "url": "https://example.com/"})
    trouble = [NotSent("Refused", "410 Gone")]
    monkeypatch.setattr(case.tracker, "trouble", lambda _: trouble[0] if trouble else None)
    await case.publish()
    assert case.ready(NotificationChannel, "pager") == ("False", "Refused", "410 Gone")
    trouble.clear()
    await case.publish()
    assert case.ready(NotificationChannel, "pager")[1] == "Refused", "another process has sent nothing yet"
    monkeypatch.setattr(case.tracker, "was_used", lambda _: True)
    await case.publish()
    assert case.ready(NotificationChannel, "pager") == ("True", "Delivering", "the last notification went out")


async def test_a_policy_counts_what_it_selects_and_what_is_under_way(case, slo, make_policy, make_remediation):
    policy = case.put(RemediationPolicy, "early", make_policy().spec.dump())
    for number, phase in enumerate(("Verifying", "Succeeded", "Pending")):
        body = make_remediation(phase, episode=number).dump()
        body["spec"]["intent"]["policy"]["uid"] = policy.uid
        case.put(Remediation, f"r-{number}", body["spec"], status=body["status"])
    case.objective(slo)
    await case.publish()
    status = case.status(RemediationPolicy, "early")
    assert (status["objectives"], status["active"]) == (1, 2)
    assert case.ready(RemediationPolicy, "early") == ("True", "ObjectivesSelected", "1 objective is selected")
    selection = Selection(left_out={policy.uid: "too many"})
    await case.publisher.publish(case.findings, 1000.0, selection)
    assert case.ready(RemediationPolicy, "early") == ("False", "TooManyPolicies", "too many")
    assert case.status(RemediationPolicy, "early")["objectives"] == 0
    assert {one["type"] for one in case.status(RemediationPolicy, "early")["conditions"]} == {"Ready", "Locked"}
    await case.publisher.permissions.check(Snapshot({}, {}, [], []), [policy])
    await case.publisher.publish(case.findings, 1000.0)
    assert {one["type"] for one in case.status(RemediationPolicy, "early")["conditions"]} == {
        "Ready",
        "Locked",
        "Permitted",
    }


@pytest.mark.parametrize(("length", "shown"), [(10, 10), (2000, 1024)])
async def test_an_object_that_is_invalid_says_so_once_and_keeps_its_status(case, monkeypatch, length, shown):
    monkeypatch.setattr("forestall.registry.describe", lambda _: "x" * length)
    case.put(ServiceLevelObjective, "bad", {}, status={"episode": {"number": 3}})
    await case.publish()
    status = case.status(ServiceLevelObjective, "bad")
    (condition,) = status["conditions"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "InvalidSpec", "x" * shown)
    assert (condition["observedGeneration"], status["observedGeneration"], status["episode"]) == (1, 1, {"number": 3})
    assert condition["lastTransitionTime"] == stamp(1000.0)
    case.put(Remediation, "strange", {}, status={"phase": "Verifying"})
    await case.publish(1001.0)
    assert case.writes == ["bad"], "a Remediation's status is its own"
    case.registry.remove("ServiceLevelObjective", "ServiceLevelObjective-bad")
    monkeypatch.setattr("forestall.registry.describe", lambda _: "something else")
    case.put(ServiceLevelObjective, "bad2", {})
    await case.publish(1002.0)
    assert case.writes == ["bad", "bad2"]


async def test_a_status_that_can_not_be_made_is_told_by_its_object(case, slo, monkeypatch):
    case.objective(slo, state=ObjectiveState.BREACHED)
    monkeypatch.setattr("forestall.engine.status_publisher.status_of", None)
    monkeypatch.setattr(case.publisher, "_guardrail", None)
    case.publisher.records = lambda uid, records: [Record(name="r", uid=uid, phase="Pending", body="{}")]
    case.put(Pause, "p", {"by": "jo"})
    monkeypatch.setattr("forestall.engine.status_publisher.lasts", None)
    with capture_logs():
        await case.publish(decisions=(decided("Hold"),), episode=Episode(number=3))
    status = case.status(ServiceLevelObjective, "checkout")
    assert (status["state"], status["episode"]["number"], len(status["decisions"])) == ("Unknown", 3, 1)
    assert [record["name"] for record in status["records"]] == ["r"]
    for model, name in ((ServiceLevelObjective, "checkout"), (Pause, "p")):
        told = case.ready(model, name)
        assert told[:2] == ("False", "InternalError")
        assert "while publishing" in told[2]


async def test_a_backup_that_can_not_be_made_affects_no_other_objective(case, slo):
    """Kind: the exception of one object ends the cycle for all."""

    def records(uid, before):
        if uid.endswith("-broken"):
            raise RuntimeError("by one tenant's object")
        return before

    case.publisher.records = records
    kept = {"name": "r", "uid": "u", "phase": "Pending", "body": "{}"}
    case.objective(slo, "broken", status={"records": [kept]})
    case.objective(slo, "checkout")
    with capture_logs():
        await case.publish()
    assert case.ready(ServiceLevelObjective, "broken")[:2] == ("False", "InternalError")
    assert [record["name"] for record in case.status(ServiceLevelObjective, "broken")["records"]] == ["r"]
    assert case.status(ServiceLevelObjective, "checkout")["state"] == "Healthy"


async def test_what_is_written_before_an_action_is_written_at_once(case, slo):
    stored = case.objective(slo, state=ObjectiveState.AT_RISK)
    case.publisher.records = lambda uid, records: [Record(name="r", uid=uid, phase="Pending", body="{}")]
    await case.publisher.write(case.findings[stored.uid], 1000.0)
    status = case.status(ServiceLevelObjective, "checkout")
    assert (status["state"], status["lastEvaluated"], status["records"][0]["name"]) == ("AtRisk", stamp(1000.0), "r")
    await case.publisher.write_records(stored, 1001.0)
    assert len(case.writes) == 1, "the backup did not change"
    case.publisher.records = lambda uid, records: []
    await case.publisher.write_records(stored, 1002.0)
    status = case.status(ServiceLevelObjective, "checkout")
    assert (status.get("records", []), status["lastEvaluated"]) == ([], stamp(1002.0))
    case.cluster.fail("apply_status", Unavailable("no answer"))
    with pytest.raises(Unavailable):
        await case.publisher.write(case.findings[stored.uid], 1003.0)


async def test_what_is_spent_of_a_budget_is_known_before_a_watch_tells_of_it(case):
    guardrail = case.put(Guardrail, "all", status={"spent": [{"namespace": "", "used": 1.0, "at": stamp(0.0)}]})
    assert [entry.used for entry in case.publisher.spent(guardrail)] == [1.0]
    await case.publisher.write_budget_usage(guardrail, [Spent(namespace="shop", used=2.0, at=stamp(5.0))], 1000.0)
    assert [(entry.namespace, entry.used) for entry in case.publisher.spent(guardrail)] == [("shop", 2.0)]
    await case.publish()
    status = case.status(Guardrail, "all")
    assert ([entry["used"] for entry in status["spent"]], status["conditions"][0]["reason"]) == ([2.0], "Active")


async def test_figures_are_written_every_two_intervals_and_news_at_once(case, slo):
    case.objective(slo)
    await case.publish(1000.0, ratios=ErrorRatios(0.1, 0.001))
    for now, written in ((1059.5, 1), (1060.0, 2), (1060.0, 2)):
        await case.publish(now, ratios=ErrorRatios(0.2, 0.002))
        assert len(case.writes) == written
    await case.publish(1059.0, ratios=ErrorRatios(0.3, 0.003))
    assert len(case.writes) == 3, "a clock that was set back"
    await case.publish(1059.0, problem=Problem("TargetMissing", "x"))
    assert len(case.writes) == 4


def test_what_is_not_written_in_time_is_written_in_a_later_cycle(case, slo):
    case.objective(slo)
    serve = case.cluster._serve

    async def late(*args):
        await asyncio.sleep(5.0)
        return await serve(*args)

    async def twice():
        case.cluster._serve = late
        await case.publisher.publish(case.findings, 1000.0, until=asyncio.get_running_loop().time() + 1.0)
        first = dict(case.status(ServiceLevelObjective, "checkout"))
        await case.publisher.publish(case.findings, 1030.0, until=asyncio.get_running_loop().time() + 60.0)
        return first

    assert run(twice()) == {}
    assert case.status(ServiceLevelObjective, "checkout")["state"] == "Healthy"


async def test_the_lease_of_who_writes_is_named(slo):
    case = Case(lease="forestall-system/forestall")
    case.objective(slo)
    await case.publish()
    assert case.status(ServiceLevelObjective, "checkout")["evaluatedBy"] == "forestall-system/forestall"
