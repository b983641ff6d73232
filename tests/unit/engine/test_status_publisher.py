"""How often statuses are written where there are many, and what they say."""

from typing import cast

import pytest
from tests.support.turns import counted_turns

from forestall.actions.notify import NoChannels
from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.api.service_level_objective import Episode
from forestall.core.risk import ObjectiveState, Risk
from forestall.engine.delivery_tracker import DeliveryTracker
from forestall.engine.objective_status import Findings, Problem
from forestall.engine.settings import Settings
from forestall.engine.status_publisher import StatusPublisher
from forestall.errors import Conflict
from forestall.ports import Cluster
from forestall.registry import Invalid, Registry

INTERVAL = 30.0


class Written:
    """Implements the `Cluster` port as far as statuses go: the names of the objects whose status was written."""

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
    """Publish the risk of so many objectives, those in `troubled` at risk, so many cycles after the start."""
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


async def test_what_is_new_is_written_first_those_at_risk_and_never_too_much_at_once(publish, cluster):
    troubled = {f"o-{number}" for number in range(390, 400)}
    await publish(400, 0, 0.1, troubled)
    first = cluster.take()
    assert len(first) == 250
    assert set(first[:10]) == troubled
    await publish(400, 1, 0.1, troubled)
    second = cluster.take()
    assert len(second) == 150
    assert not set(first) & set(second)


async def test_what_did_not_change_is_not_written(publish, cluster):
    await publish(3, 0, 0.1)
    cluster.take()
    await publish(3, 5, 0.1)
    assert not cluster.take()


async def test_a_status_is_for_the_version_that_the_last_one_made_until_the_watch_has_told_of_it(publish, cluster):
    await publish(1, 0, 0.1)
    await publish(1, 5, 0.9)
    assert cluster.versions == ["1", "1+"]


async def test_figures_wait_their_turn(publish, cluster):
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


async def test_figures_of_objectives_at_risk_come_first(publish, cluster):
    troubled = {f"o-{number}" for number in range(140, 150)}
    await publish(150, 0, 0.9, troubled)
    cluster.take()
    for cycle in (2, 4, 6):
        await publish(150, cycle, 0.9 + cycle / 100, troubled)
        assert troubled < set(cluster.take())


async def test_what_is_news_all_the_time_in_one_namespace_delays_no_other(cluster, slo):
    """Kind: no share per namespace. 600 objectives at risk, each time for another reason, fill what a cycle writes."""
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


async def test_others_get_their_turn_while_much_is_to_be_said_of_policies(cluster, make_policy):
    """Kind: cost of what others write. What is said of 200 policies kept the lease from being renewed meanwhile."""
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


async def test_an_objective_that_was_mended_has_a_status_again(cluster, slo):
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
async def test_a_policy_says_that_a_person_must_look(cluster, slo, make_policy, make_remediation, episode, locked):
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


async def test_a_pause_says_whether_it_is_in_force(cluster):
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


async def test_a_heartbeat_tells_that_somebody_looks_and_costs_little(publish, cluster):
    """Kind: a picture that stays as it was when nobody draws any more. 120 that rest are written every 10 minutes."""
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
    """A cluster in which somebody writes on an object before each write of its status."""

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


async def test_who_writes_on_an_objective_without_end_does_not_keep_its_status_from_being_written(slo):
    """The kind: a write that must come about loses against anybody who writes more often."""
    cluster = Busy()
    publisher = StatusPublisher(
        cast("Cluster", cluster), Registry(), Settings(interval=INTERVAL), DeliveryTracker(NoChannels())
    )
    await publisher.write(Findings(slo, Risk(ObjectiveState.HEALTHY, 0.1, None)), 1000.0)
    assert cluster.status["state"] == "Healthy"
    cluster.writes = 0
    await publisher.write(Findings(slo, Risk(ObjectiveState.AT_RISK, 0.9, None)), 1030.0)
    assert cluster.status["state"] == "AtRisk"


async def test_a_status_that_somebody_else_wrote_is_a_conflict(slo):
    cluster = Busy(status={"state": "Breached", "episode": {"number": 7}})
    publisher = StatusPublisher(
        cast("Cluster", cluster), Registry(), Settings(interval=INTERVAL), DeliveryTracker(NoChannels())
    )
    with pytest.raises(Conflict):
        await publisher.write(Findings(slo, Risk(ObjectiveState.HEALTHY, 0.1, None)), 1000.0)
    assert cluster.status["state"] == "Breached"
