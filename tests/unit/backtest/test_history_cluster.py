"""The objects that actions find in the cluster of a replay."""

import pytest

from forestall.actions import ACTIONS, TargetRequest
from forestall.api.remediation import ObjectRef
from forestall.api.remediation_policy import Rung
from forestall.backtest.history_cluster import HistoryCluster
from forestall.core.decision import Hold
from forestall.engine import pod_placement


def workload(name, namespace="shop"):
    return ObjectRef(api_version="apps/v1", kind="Deployment", namespace=namespace, name=name)


async def aim(targets, target, **labels):
    cluster = HistoryCluster(3, targets)
    body = await cluster.read(target)
    stored = target.model_copy(update={"uid": body["metadata"]["uid"]})
    return await ACTIONS["Evict"].resolve_target(
        cluster, TargetRequest(Rung.model_validate({"evict": {}}), stored, labels, 0.0)
    )


@pytest.mark.parametrize("pod", ["web-6f7c-x", "whatever"])
async def test_a_pod_belongs_to_the_only_target(pod):
    answer = await aim([workload("web"), workload("db", "other")], workload("web"), pod=pod)
    assert isinstance(answer, ObjectRef)


@pytest.mark.parametrize(("pod", "fits"), [("web-6f7c-x", False), ("web-api-6f7c-x", True), ("whatever", False)])
async def test_a_pod_belongs_to_the_target_with_its_name_prefix(pod, fits):
    answer = await aim([workload("web"), workload("web-api")], workload("web-api"), pod=pod)
    assert isinstance(answer, Hold) is not fits


@pytest.mark.parametrize("action", ["Cordon", "Drain"])
async def test_a_node_exists_beside_a_spare_one(action):
    cluster = HistoryCluster(3)
    rung = Rung.model_validate({action.lower(): {}})
    target = await ACTIONS[action].resolve_target(cluster, TargetRequest(rung, workload("web"), {"node": "n1"}, 0.0))
    assert isinstance(target, ObjectRef)
    capacity = pod_placement.assess(target.name, await cluster.find("v1", "Node"), (), max_cordoned=1)
    assert capacity is not None
    assert (capacity.unavailable, capacity.equivalent_nodes) == ([], 1)
