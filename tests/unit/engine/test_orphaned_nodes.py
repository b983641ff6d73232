"""Nodes that a deleted Remediation left cordoned are uncordoned, and no others, by periodic checks."""

from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.memory_cluster import MemoryCluster

from forestall.actions.node_action import CORDONED_BY
from forestall.core.decision import Hold
from forestall.engine.node_lister import NodeLister
from forestall.engine.orphaned_nodes import EVERY, OrphanedNodeRelease
from forestall.errors import Conflict, Forbidden

NODE = {"kind": "Node", "name": "n1", "uid": "n-1", "apiVersion": "v1", "namespace": ""}
OURS = {
    "f:metadata": {"f:annotations": {f"f:{CORDONED_BY}": {}}},
    "f:spec": {"f:unschedulable": {}},
}


class Nodes(MemoryCluster):
    """A cluster of cordoned nodes."""

    def __init__(self):
        super().__init__()
        self.remediations: list[dict[str, Any]] = []
        """The Remediations on the API server."""

    def put(self, name, holder="gone", *, unschedulable=True, fields=OURS):
        managed = [{"manager": "forestall", "fieldsV1": fields}]
        metadata = {"annotations": {CORDONED_BY: holder} if holder else {}, "managedFields": managed}
        spec = {"unschedulable": unschedulable}
        self.insert({"kind": "Node", "metadata": {"name": name, "uid": name, **metadata}, "spec": spec})

    async def find(self, api_version, kind, namespace="", label_selector="", field_selector=""):
        listed = await super().find(api_version, kind, namespace, label_selector, field_selector)
        return self.remediations if kind == "Remediation" else listed

    @property
    def listed(self):
        return [request.kind for request in self.requests if request.verb == "find"]

    @property
    def told(self):
        return [event.regarding.name for event in self.events]

    def cordoned(self):
        return {key[2] for key, node in self.objects.items() if node["spec"].get("unschedulable")}


@pytest.fixture
def cluster():
    return Nodes()


@pytest.fixture
def paused():
    """The times at which everything is paused, and those at which the pause was checked."""
    return SimpleNamespace(at=set(), asked=[])


@pytest.fixture
def sweep(cluster, paused):
    """Run one check at a time (s), in a cycle of its own."""
    survey = NodeLister(cluster)

    async def held(now):
        paused.asked.append(now)
        return Hold("Paused", "the cluster is paused") if now in paused.at else None

    made = OrphanedNodeRelease(cluster, survey, held)

    async def run(now, *remediations):
        survey.forget()
        await made.run(remediations, now)

    return run


async def test_node_of_a_deleted_remediation_is_uncordoned_with_an_event(cluster, sweep):
    cluster.put("n1")
    await sweep(0.0)
    assert cluster.cordoned() == set()
    assert cluster.told == ["n1"]


async def test_nodes_held_by_a_remediation_or_cordoned_by_others_stay_cordoned(cluster, sweep, make_remediation):
    live = make_remediation(action={"cordon": {}}, **NODE)
    cluster.put("held", live.uid)
    cluster.put("unknown-to-the-registry", "new")
    cluster.put("of-a-person", holder=None)
    cluster.put("taken-over", fields={**OURS, "f:spec": {"f:taints": {}}})
    cluster.put("uncordoned", unschedulable=False)
    cluster.remediations = [{"metadata": {"uid": "new"}, "status": {"phase": "Executing"}}]
    await sweep(0.0, live)
    assert cluster.cordoned() == {"held", "unknown-to-the-registry", "of-a-person", "taken-over"}


async def test_ended_remediation_holds_no_node(cluster, sweep, make_remediation):
    ended = make_remediation("Failed", action={"cordon": {}}, **NODE)
    cluster.put("n1", ended.uid)
    cluster.remediations = [{"metadata": {"uid": ended.uid}, "status": {"phase": "Failed"}}]
    await sweep(0.0, ended)
    assert cluster.cordoned() == set()


async def test_check_is_periodic_and_immediate_after_a_remediation_disappears(cluster, sweep, make_remediation):
    live = make_remediation(action={"drain": {}}, **NODE)
    for now in (0.0, 10.0, 20.0):
        await sweep(now, live)
    assert cluster.listed == ["Node"]
    cluster.put("n1", live.uid)
    await sweep(30.0)
    assert cluster.cordoned() == set()
    listed = len(cluster.listed)
    await sweep(40.0)
    assert len(cluster.listed) == listed
    assert EVERY == 300.0
    await sweep(30.0 + EVERY)
    assert len(cluster.listed) > listed


async def test_forbidden_list_is_not_repeated_more_often(cluster, sweep):
    cluster.put("n1")
    cluster.fail("find", Forbidden("nodes"), "Node")
    for now in (0.0, 10.0, 20.0):
        await sweep(now)
    assert cluster.listed == ["Node"]


async def test_node_with_a_conflict_is_checked_again(cluster, sweep):
    cluster.put("n1")
    cluster.fail("patch", Conflict("changed"))
    await sweep(0.0)
    assert (cluster.cordoned(), cluster.told) == ({"n1"}, [])
    cluster.mend()
    await sweep(EVERY)
    assert cluster.cordoned() == set()


async def test_pause_is_checked_when_a_check_is_due_and_only_postpones_it(cluster, sweep, paused, make_remediation):
    live = make_remediation(action={"cordon": {}}, **NODE)
    cluster.put("n1", live.uid)
    await sweep(0.0, live)
    await sweep(10.0, live)
    assert paused.asked == [0.0]
    paused.at.add(20.0)
    await sweep(20.0)
    assert cluster.cordoned() == {"n1"}
    await sweep(30.0)
    assert cluster.cordoned() == set()
    assert paused.asked == [0.0, 20.0, 30.0]
