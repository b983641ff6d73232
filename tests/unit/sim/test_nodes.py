"""Cordons of nodes whose disks fill up."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.arena import nodes as arena

from forestall.actions.node_action import CORDONED_BY
from forestall.errors import Conflict, InvalidInput, NotFound
from forestall.sim.controllers.base import FixedReplicas
from forestall.sim.controllers.cordons import DiskAlert
from forestall.sim.controllers.hpa import Hpa
from forestall.sim.model_state import ModelState
from forestall.sim.node_objects import NodeObjects
from forestall.sim.nodes import ModelNodes
from forestall.sim.run import run
from forestall.sim.run_record import RunRecord
from forestall.sim.scales import Scales
from forestall.sim.service import ServiceFleet, ServiceParameters
from forestall.sim.traffic import Arrivals

HOURS = 5
TERMS = ServiceParameters(capacity=10, start_up=60, restart=60, nodes=2)


@pytest.fixture
def make_fleet():
    """Two replicas on two nodes, of which the first has a full disk until some minute."""

    def make(full_until):
        disk = np.full((60, 2), 0.5)
        disk[:full_until, 0] = 1.0
        return ServiceFleet([TERMS], [2], 15.0, 8, [disk])

    return make


@pytest.fixture
def make_filling(make_service):
    """A service whose replicas rise and fall every hour.

    Of its nodes one has a full disk from the third hour on, and two have logs that are rotated every hour.
    """

    def make(**terms):
        minutes = np.arange(HOURS * 60)
        rates = 60.0 + 50.0 * np.sin(2 * np.pi * minutes / 60) + np.random.default_rng(1).normal(0, 1, minutes.size)
        full = np.minimum(0.3 + 0.7 * minutes / 150, 1.0)
        rotated = 0.4 + 0.2 * (minutes % 60) / 60
        service = make_service(rates, 5, min_replicas=2, past=[60.0] * 60, start_up=60.0, nodes=3, **terms)
        return replace(service, disks=np.stack((full, rotated, rotated), axis=1))

    return make


def advance(fleet, steps):
    return [fleet.advance(np.array([1.0])) for _ in range(steps)]


def test_a_start_on_a_full_disk_fails_once_and_succeeds_after_the_clean_up(make_fleet):
    fleet = make_fleet(full_until=5)
    fleet.scale(np.array([4]))
    steps = advance(fleet, 16)
    assert sum(int(step.failed[0]) for step in steps) == 1, "of two new ones one is on the full disk"
    assert int(fleet.ready[0]) == 3, "what ran on it goes on"
    advance(fleet, 8)
    assert int(fleet.ready[0]) == 4


def test_a_cordoned_node_gets_no_new_replicas(make_fleet):
    fleet = make_fleet(full_until=60)
    fleet.nodes.cordon(0, 0, 0.0, on=True)
    fleet.scale(np.array([6]))
    assert sum(int(step.failed[0]) for step in advance(fleet, 8)) == 0
    assert fleet.nodes.host[0, :6].tolist() == [0, 1, 1, 1, 1, 1]
    fleet.nodes.cordon(0, 0, 0.0, on=False)
    fleet.scale(np.array([8]))
    assert fleet.nodes.host[0, 6:].tolist() == [0, 0]
    assert fleet.nodes.cordons == [(0.0, 0, 0)]


def test_the_last_node_of_a_service_is_not_cordoned():
    nodes = ModelNodes([2, 1], [None, None], 4)
    nodes.cordon(0, 0, 0.0, on=True)
    for service, node in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="last schedulable node"):
            nodes.cordon(service, node, 0.0, on=True)


def test_disks_without_nodes_are_refused(make_service):
    with pytest.raises(InvalidInput, match="one node each"):
        replace(make_service([1.0] * 60, nodes=2), disks=np.zeros((60, 3)))


@pytest.fixture
def state(make_fleet, make_traffic):
    fleet = make_fleet(full_until=60)
    scales = Scales(fleet.replicas, np.array([1]), np.array([8]))
    return ModelState(fleet, Arrivals([make_traffic([1.0] * 60)], 15.0), RunRecord(15.0, 240, 1), scales, 0.0)


def test_nodes_are_read_and_patched_as_the_api_server_does(state):
    objects = NodeObjects(state)
    name = objects.all()[0]["metadata"]["name"]
    before = objects.read(name)["metadata"]["resourceVersion"]
    patch = {"metadata": {"annotations": {CORDONED_BY: "uid"}}, "spec": {"unschedulable": True}}
    after = objects.patch(name, patch, before)
    assert after["spec"] == {"unschedulable": True}
    assert after["metadata"]["annotations"] == {CORDONED_BY: "uid"}
    with pytest.raises(Conflict):
        objects.patch(name, patch, before)
    back = {"metadata": {"annotations": {CORDONED_BY: None}}, "spec": {"unschedulable": None}}
    free = objects.patch(name, back, after["metadata"]["resourceVersion"])
    assert (free["spec"], free["metadata"]["annotations"]) == ({}, {})
    with pytest.raises(NotFound):
        objects.read("another")


async def test_a_disk_alert_cordons_and_uncordons_nodes(make_service):
    disk = np.full((180, 2), 0.5)
    disk[30:60, 0] = 0.95
    service = replace(make_service([10.0] * 180, nodes=2, start_up=60), disks=disk)
    recorded = []

    class RecordedAlert(DiskAlert):
        def desired_cordons(self, observation):
            cordons = super().desired_cordons(observation)
            recorded.append((observation.now / 60, bool(cordons[0, 0])))
            return cordons

    outcome = await run([service], FixedReplicas(), cordoner=RecordedAlert(0.9))
    minutes = [minute for minute, cordoned in recorded if cordoned]
    assert outcome.cordons == [(35 * 60.0, 0, 0)]
    assert (min(minutes), max(minutes)) == (35.0, 89.75), "uncordoned after half an hour"


async def test_an_alert_leaves_the_last_node(make_service):
    service = replace(make_service([10.0] * 60, nodes=2, start_up=60), disks=np.full((60, 2), 0.97))
    outcome = await run([service], FixedReplicas(), cordoner=DiskAlert(0.9))
    assert [node for _, _, node in outcome.cordons] == [0]


async def test_forestall_cordons_a_node_before_its_disk_is_full(make_filling):
    services = [make_filling()]
    without = await run(services, Hpa(np.array([0.7])))
    acting = await run(services, Hpa(np.array([0.7])), arena.setup(1, 120.0, "10m"))
    assert without.record.failed.sum() >= 3
    assert acting.record.failed.sum() == 0
    assert {node for _, _, node in acting.cordons} == {0}
    assert 120 < acting.cordons[0][0] / 60 < 145
    assert [remediation.spec.intent.target.name for remediation in acting.remediations] == ["service-0000-node-0"]


def test_only_the_intended_disks_fill_up():
    disks = [service.disks for service in arena.services(1.0) if service.disks is not None]
    full = np.array([(disk >= 1.0).any(axis=0) for disk in disks])
    assert full[:, 1:].sum() == 0
    assert full[: len(arena.FILLS_IN) - 1, 0].all()
    assert not full[-arena.HONEST :, 0].any()
    lengths = np.diff(np.flatnonzero(np.diff((disks[0][:, 0] >= 1.0).astype(int))))
    assert lengths[0] == arena.CLEANED
