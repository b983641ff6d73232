"""Nodes that a deleted Remediation left cordoned are uncordoned, and no others, by periodic checks."""

from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.harness import NAMESPACE, Harness, shop
from tests.support.memory_cluster import MemoryCluster

from forestall.actions.node_action import CORDONED_BY
from forestall.core.decision import Hold
from forestall.engine.orphaned_nodes import EVERY, OrphanedNodeRelease
from forestall.errors import Conflict, Forbidden, Unavailable

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
    """Run one check at a time (s) with the Remediations that are left, in a cycle that also drives `driven`."""

    async def held(now):
        paused.asked.append(now)
        return Hold("Paused", "the cluster is paused") if now in paused.at else None

    made = OrphanedNodeRelease(cluster, held)

    async def run(now, *remediations, driven=()):
        made.note([*remediations, *driven])
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
    await sweep(10.0)
    assert cluster.cordoned() == set()


@pytest.mark.parametrize(("verb", "kind"), [("find", "Node"), ("find", "Remediation"), ("patch", "Node")])
async def test_check_that_fails_is_repeated_in_the_next_cycle(cluster, sweep, verb, kind):
    """A missing right is not asked about again before the next check; an API server that fails may go on soon."""
    cluster.put("n1")
    cluster.fail(verb, Unavailable("away"), kind)
    await sweep(0.0)
    assert cluster.cordoned() == {"n1"}
    cluster.mend()
    await sweep(10.0)
    assert cluster.cordoned() == set()


async def test_node_of_a_remediation_that_is_deleted_in_the_cycle_that_cordons_is_uncordoned_at_once(
    cluster, sweep, make_remediation
):
    """Kind: what comes and goes between two looks. It was in no earlier check, and is in none after."""
    await sweep(0.0)
    deleted = make_remediation(action={"cordon": {}}, **NODE)
    cluster.put("n1", deleted.uid)
    await sweep(10.0, driven=[deleted])
    assert cluster.cordoned() == set()
    assert cluster.listed == ["Node", "Node", "Remediation"]
    await sweep(20.0)
    assert cluster.listed == ["Node", "Node", "Remediation"]


async def test_node_of_a_remediation_that_ends_without_releasing_it_is_uncordoned_at_once(
    cluster, sweep, make_remediation
):
    live, ended = (make_remediation(phase, action={"cordon": {}}, **NODE) for phase in ("Verifying", "Failed"))
    cluster.put("n1", live.uid)
    await sweep(0.0, live)
    assert cluster.cordoned() == {"n1"}
    cluster.remediations = [{"metadata": {"uid": ended.uid}, "status": {"phase": "Failed"}}]
    await sweep(10.0, ended)
    assert cluster.cordoned() == set()


async def test_remediation_that_is_gone_from_the_registry_alone_keeps_its_node(cluster, sweep, make_remediation):
    """The watch may be wrong or late: the API server is asked before a node is uncordoned."""
    live = make_remediation(action={"cordon": {}}, **NODE)
    cluster.put("n1", live.uid)
    await sweep(0.0, live)
    cluster.remediations = [{"metadata": {"uid": live.uid}, "status": {"phase": "Verifying"}}]
    await sweep(10.0)
    assert cluster.cordoned() == {"n1"}


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


class DeletedWhileCordoned(MemoryCluster):
    """A cluster in which somebody deletes every Remediation as soon as it has cordoned a node."""

    def __init__(self):
        super().__init__()
        self.harness: Harness | None = None

    async def _serve(self, request, effect):
        answer = await super()._serve(request, effect)
        if self.harness and (request.verb, request.kind) == ("patch", "Node"):
            for key in [key for key in self.objects if key[0] == "Remediation"]:
                del self.objects[key]
            self.harness.watch()
        return answer


async def test_remediation_that_is_deleted_right_after_its_patch_leaves_no_node_cordoned():
    cluster = DeletedWhileCordoned()
    h = cluster.harness = shop(cluster=cluster)
    indicator = {"name": "disk", "query": "disk", "limit": 100, "horizon": "5m", "per": "node"}
    h.objective(leadingIndicators=[indicator])
    h.policy(actions=[{"cordon": {}}])
    h.apply("Guardrail", "nodes", {"nodes": {"maxCordoned": 1}, "allow": [{"namespaces": {}, "actions": ["Cordon"]}]})
    h.script.say_each("disk", "node", {"n1": 300.0, "n2": 10.0})
    for name in ("n1", "n2"):
        h.node(name)
    patched = ("patch", "Node", "n1")
    await h.cycle()
    patches = [
        request.content["spec"] for request in cluster.written if (request.verb, request.kind, request.name) == patched
    ]
    assert patches == [{"unschedulable": True}, {"unschedulable": None}]
    assert not cluster.objects["Node", "", "n1"]["spec"].get("unschedulable")
    await h.cycle(3)
    (restored,) = h.remediations
    assert (restored.status.phase, restored.status.reason) == ("Aborted", "Deleted")
    assert restored.namespace == NAMESPACE
