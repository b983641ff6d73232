"""Which node a metric may name. The kind: an action beyond its author's permissions."""

from typing import Any
from unittest.mock import AsyncMock

import pytest

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.api.remediation import ObjectRef
from forestall.core.promql.origin import keeps_labels
from forestall.engine.node_trust import node_distrust
from forestall.errors import Forbidden, NotFound

WEB = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="web", uid="d-1")
QUERY = "max by (node) (disk_used_ratio)"


class Nodes:
    """A namespace: on n1 a pod of `web` and one of another workload, on n2 others, on n3 a pod of `web` that goes."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def find(
        self, version: str, kind: str, namespace: str = "", label: str = "", field_selector: str = ""
    ) -> Any:
        assert (version, kind, namespace, label) == ("v1", "Pod", "shop", "")
        self.asked.append(field_selector)
        there = {"n1": ("rs-web", "rs-other"), "n2": ("rs-other", "rs-gone", ""), "n3": ("rs-web",)}
        name = field_selector.removeprefix("spec.nodeName=").removesuffix(",status.phase=Running")
        going = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if name == "n3" else {}
        return [{"metadata": {"ownerReferences": self._owners(owner), **going}} for owner in there.get(name, ())]

    async def read(self, ref: ObjectRef) -> Any:
        if ref.kind == "Pod":
            node = {"web-1": "n1", "web-9": "n9", "other-9": "n9"}.get(ref.name)
            if node is None:
                raise NotFound("gone")
            owner = "rs-web" if ref.name.startswith("web") else "rs-other"
            metadata = {"ownerReferences": self._owners(owner)}
            return {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": "Running"}}
        if ref.name == "rs-gone":
            raise NotFound("gone")
        uid = "d-1" if ref.name == "rs-web" else "d-2"
        return {"metadata": {"ownerReferences": [{"kind": "Deployment", "uid": uid, "controller": True}]}}

    @staticmethod
    def _owners(name: str) -> list[dict[str, Any]]:
        one = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": name, "controller": True}
        return [one] if name else []


def cluster() -> Any:
    return Nodes()


@pytest.fixture
def objective(slo):
    def make(query: str) -> ServiceLevelObjective:
        body = slo.dump()
        leading = {"name": "load", "query": query, "limit": 1, "horizon": "5m", "per": "node"}
        body["spec"]["leadingIndicators"] = [leading]
        return ServiceLevelObjective.read(body)

    return make


def source(*trusted: str) -> MetricSource:
    metadata = {"name": "default", "uid": "s-1", "generation": 1}
    return MetricSource.read({"metadata": metadata, "spec": {"url": "http://x", "trustedLabels": list(trusted)}})


@pytest.mark.parametrize(
    ("node", "trusted", "query", "reason"),
    [
        ("n1", [], QUERY, None),  # a pod of the target runs there
        ("n2", [], QUERY, "NodeNotTrusted"),  # others' pods run there
        ("n3", [], QUERY, "NodeNotTrusted"),  # the last pod of the target is about to go
        ("n9", [], QUERY, "NodeNotTrusted"),
        ("n9", ["pod"], QUERY, "NodeNotTrusted"),
        ("n9", ["pod", "node"], QUERY, None),  # an admin vouches for it
        ("n9", ["node"], 'label_replace(x, "node", "n9", "", "")', "NodeNotTrusted"),
        ("n9", ["node"], 'absent(x{node="n9"})', "NodeNotTrusted"),
        ("n9", ["node"], 'COUNT_VALUES("node", x)', "NodeNotTrusted"),
        ("n1", ["node"], 'label_replace(x, "node", "n1", "", "")', None),
        ("..", ["node"], QUERY, "NodeUnknown"),
        ("n1,metadata.name=x", [], QUERY, "NodeUnknown"),
        ("", ["node"], QUERY, "NodeUnknown"),
        (None, [], QUERY, None),  # the action itself says that none is named
    ],
)
async def test_node_is_trusted_where_the_target_runs_or_the_source_vouches_for_the_label(
    objective, make_signal, node, trusted, query, reason
):
    cause = make_signal(labels=[] if node is None else [("node", node)])
    hold = await node_distrust(cluster(), objective(query), source(*trusted), cause, WEB)
    assert (hold and hold.reason) == reason


@pytest.mark.parametrize(
    ("pod", "node", "reason"),
    [
        ("web-9", "n9", None),
        ("web-1", "n9", "NodeNotTrusted"),  # it runs elsewhere
        ("other-9", "n9", "NodeNotTrusted"),  # it is of another workload
        ("gone", "n9", "NodeNotTrusted"),
        ("..", "n9", "NodeNotTrusted"),
    ],
)
async def test_named_pod_is_enough_without_permission_to_list_pods(objective, make_signal, pod, node, reason):
    blind = cluster()
    blind.find = AsyncMock(side_effect=Forbidden('cannot list resource "pods"'))
    cause = make_signal(labels=[("node", node), ("pod", pod)])
    hold = await node_distrust(blind, objective(QUERY), source(), cause, WEB)
    assert (hold and hold.reason) == reason
    assert hold is None or "can't be seen without the right to list pods" in hold.message


async def test_label_is_not_trusted_without_its_source(objective, make_signal):
    cause = make_signal(labels=[("node", "n9")])
    assert await node_distrust(cluster(), objective(QUERY), None, cause, WEB) is not None


async def test_one_pod_of_each_owner_is_read_and_invalid_names_are_not(objective, make_signal):
    nodes = cluster()
    await node_distrust(nodes, objective(QUERY), source(), make_signal(labels=[("node", "a,b")]), WEB)
    assert nodes.asked == []


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("max by (node) (kube_pod_info * 2)", True),
        ('sum by (node) (kube_node_labels{label_zone="a"})', True),
        ("max by (node) (x) or label_join(y, 'node', '', 'z')", False),
        ('info(x, {node="a"})', False),
        ("label_replace # of a label\n(x, 'node', 'n', '', '')", False),
        ('absent_over_time(x{node="n"}[5m])', False),
    ],
)
def test_query_that_may_create_a_label_keeps_none_trusted(query, kept):
    assert keeps_labels(query) == kept


@pytest.mark.parametrize(
    ("change", "trusted"),
    [
        ({}, True),
        ({"status": {"phase": "Pending"}}, False),
        ({"spec": {"nodeName": "n8"}}, False),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, False),
    ],
)
async def test_node_is_trusted_only_by_a_running_pod_that_is_not_being_deleted(objective, make_signal, change, trusted):
    nodes = cluster()
    read = nodes.read

    async def changed(ref: ObjectRef) -> Any:
        body = await read(ref)
        return {key: {**value, **change.get(key, {})} for key, value in body.items()} if ref.kind == "Pod" else body

    nodes.read = changed
    cause = make_signal(labels=[("node", "n9"), ("pod", "web-9")])
    assert (await node_distrust(nodes, objective(QUERY), source(), cause, WEB) is None) is trusted


@pytest.mark.parametrize(
    ("trusted", "query", "why"),
    [
        ([], QUERY, "its MetricSource does not vouch for that label"),
        (["node"], 'label_replace(x, "node", "n9", "", "")', "the query may make that label itself"),
    ],
)
async def test_why_a_node_does_not_count_is_told(objective, make_signal, trusted, query, why):
    cause = make_signal(labels=[("node", "n9")])
    hold = await node_distrust(cluster(), objective(query), source(*trusted), cause, WEB)
    assert hold is not None
    assert hold.message == f"no pod of deployment shop/web runs on node n9, which its label `node` names, and {why}"


async def test_an_indicator_that_has_no_query_keeps_no_label(slo, make_signal):
    cause = make_signal(labels=[("node", "n9")])
    assert await node_distrust(cluster(), slo, source("node"), cause, WEB) is not None
