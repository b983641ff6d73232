"""Text from a tenant's metric that is used as a name never leads to another path, and no other object is taken for the
requested one.

The kind: a series with `node=".."` made the client ask for `/api/v1/nodes/..`, which is the list of all nodes.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio.client import Configuration

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.adapters.kubernetes.names import is_api_version, is_label, is_segment, is_subdomain
from forestall.api.remediation import ObjectRef
from forestall.cli.caller import caller
from forestall.errors import ClusterError, NotFound, Unavailable, Unreadable

HOSTILE = [
    "", ".", "..", "...", "../..", "a/b", "/", "a/../b", "%2e%2e", "%2E", "..%2f", "a%00", "a\x00", "a b", "a\n",
    "a?b=c", "a#b", "a;b", "a&b", "a\\b", "..\\", "a,b", "a=b", "-a", "a-", ".a", "a.", "a..b", "A", "node_1", "ä",
    "\uff0e\uff0e", "a" * 254, "a" * 100_000, "*", "~", "@", ":",
]  # fmt: skip
RESOURCES = {
    "/api/v1": [
        ("nodes", "Node", False), ("pods", "Pod", True), ("pods/eviction", "Eviction", True),
        ("namespaces", "Namespace", False), ("secrets", "Secret", True),
        ("../nodes", "Up", True), ("a/../b", "Far", True),
    ],
    "/apis/authentication.k8s.io/v1": [("selfsubjectreviews", "SelfSubjectReview", False)],
    "/apis/apps/v1": [
        ("deployments", "Deployment", True), ("deployments/scale", "Scale", True),
        ("deployments/status", "Deployment", True),
    ],
}  # fmt: skip


class Server:
    """An API server that answers every path but discovery with the object that a test gives it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.answer: Any = {}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        if request.path in RESOURCES:
            listed = [{"name": n, "kind": k, "namespaced": own} for n, k, own in RESOURCES[request.path]]
            return web.json_response({"kind": "APIResourceList", "resources": [*listed, "junk", {"name": 1}]})
        self.seen.append((request.method, request.path_qs))
        return web.json_response(self.answer)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def cluster(server: Server, no_system_certificates: None) -> AsyncIterator[KubernetesCluster]:
    runner = web.ServerRunner(web.Server(server), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    async with Api(Access(configuration, "default", "/nowhere", None)) as api:
        yield KubernetesCluster(api, Recorder(api, "test"), "forestall")
    await runner.cleanup()


def node(name: str) -> ObjectRef:
    return ObjectRef(api_version="v1", kind="Node", name=name)


def pod(name: str = "web-1", namespace: str = "shop") -> ObjectRef:
    return ObjectRef(api_version="v1", kind="Pod", namespace=namespace, name=name, uid="u-1")


def web_of(name: str = "web", namespace: str = "shop", version: str = "apps/v1", kind: str = "Deployment") -> ObjectRef:
    return ObjectRef(api_version=version, kind=kind, namespace=namespace, name=name, uid="u-1")


CALLS = {
    "read": lambda c, ref: c.read(ref),
    "read_scale": lambda c, ref: c.read_scale(ref),
    "write_scale": lambda c, ref: c.write_scale(ref, 3, "1"),
    "patch": lambda c, ref: c.patch(ref, {"spec": {}}, "1"),
    "create": lambda c, ref: c.create(
        {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": {"name": ref.name, "namespace": ref.namespace}}
    ),
    "delete": lambda c, ref: c.delete(ref, "1"),
    "evict": lambda c, ref: c.evict(ref.model_copy(update={"api_version": "v1", "kind": "Pod"})),
    "replace_status": lambda c, ref: c.replace_status(ref, {}, "1"),
    "apply_status": lambda c, ref: c.apply_status(ref, {}, "1"),
}


@pytest.mark.parametrize("call", CALLS)
async def test_invalid_names_are_never_requested(cluster, server, call):
    for name in HOSTILE:
        for ref in (web_of(name), web_of("web", name)):
            with pytest.raises(ClusterError):
                await CALLS[call](cluster, ref)
        assert server.seen == [], name


@pytest.mark.parametrize("call", ["read", "patch"])
async def test_cluster_scoped_objects_are_not_requested_in_a_namespace(cluster, server, call):
    """Kind: users of a namespace learn about the cluster, here by an objective whose target is a Node."""
    with pytest.raises(NotFound, match="is in no namespace"):
        await CALLS[call](cluster, web_of("n1", version="v1", kind="Node"))
    assert server.seen == []


@pytest.mark.parametrize("name", HOSTILE)
async def test_invalid_names_of_nodes_secrets_kinds_and_lists_are_never_requested(cluster, server, name):
    with pytest.raises(NotFound):
        await cluster.read(node(name))
    with pytest.raises(NotFound):
        await cluster.read(ObjectRef(api_version="v1", kind="Namespace", name=name))
    with pytest.raises(NotFound):
        await cluster.read_secret(name, "token")
    with pytest.raises(NotFound):
        await cluster.serves(f"apps/{name}", "Deployment")
    with pytest.raises(NotFound):
        await cluster.serves(f"{name}/v1", "Deployment")
    with pytest.raises(NotFound):
        await cluster.serves("apps/v1", name)
    if name:  # an empty namespace means all
        with pytest.raises(NotFound):
            await cluster.find("v1", "Pod", namespace=name)
    assert server.seen == []


@pytest.mark.parametrize("kind", ["Up", "Far", "junk"])
async def test_discovered_resource_with_an_invalid_name_is_not_served(cluster, kind):
    with pytest.raises(NotFound):
        await cluster.serves("v1", kind)


def body(**changes: Any) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "7"}
    metadata |= changes.pop("metadata", {})
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata} | changes


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (body(), None),
        (body(kind="DeploymentList", items=[]), Unavailable),
        (body(kind="StatefulSet"), Unavailable),
        (body(apiVersion="apps/v2"), Unavailable),
        (body(metadata={"name": "other"}), Unavailable),
        (body(metadata={"namespace": "other"}), Unavailable),
        (body(metadata={"uid": ""}), Unavailable),
        (body(metadata={"uid": 7}), Unavailable),
        (body(metadata={"resourceVersion": None}), Unavailable),
        (body(metadata={"uid": "u-2"}), NotFound),
        ({"kind": "Status", "status": "Success"}, Unavailable),
        ({"metadata": []}, Unavailable),
        ({}, Unavailable),
    ],
)
async def test_response_with_another_object_is_refused(cluster, server, answer, error):
    server.answer = answer
    if error is None:
        assert await cluster.read(web_of()) == answer
        return
    with pytest.raises(error):
        await cluster.read(web_of())
    writes = [cluster.patch(web_of(), {}, "7"), cluster.replace_status(web_of(), {}, "7")]
    for write in [*writes, cluster.apply_status(web_of(), {}, "7")]:
        with pytest.raises(Unavailable):
            await write


@pytest.mark.parametrize(
    ("spec", "status", "scale"),
    [
        ({"replicas": 3}, {"replicas": 2, "selector": "a=b"}, (3, 2, "a=b")),
        ({}, None, (0, 0, "")),
        ({"replicas": "many"}, {}, None),
        ({"replicas": 3}, {"replicas": []}, None),
        ({"replicas": 2**80}, {}, None),
        ("three", {}, (0, 0, "")),
    ],
)
async def test_invalid_number_of_replicas_is_refused(cluster, server, spec, status, scale):
    server.answer = body(kind="Scale", apiVersion="autoscaling/v1", spec=spec, status=status)
    if scale is None:
        with pytest.raises(Unreadable, match="web"):
            await cluster.read_scale(web_of())
    else:
        found = await cluster.read_scale(web_of())
        assert (found.spec_replicas, found.status_replicas, found.selector) == scale


ITEM = {"metadata": {"name": "a", "namespace": "shop", "uid": "u"}}


@pytest.mark.parametrize(
    "answer",
    [
        {"kind": "Pod", "metadata": {"name": "a"}},
        {"kind": "PodList", "items": {"a": 1}},
        {"kind": "PodList", "items": ["a"]},
        {"kind": "PodList", "items": [{"metadata": None}]},
        {"kind": "PodList", "items": [{"metadata": {"name": "a", "namespace": "shop"}}]},
        {"kind": "PodList", "items": [ITEM, {"metadata": {**ITEM["metadata"], "namespace": "other"}}]},
        {"kind": "PodList", "items": [], "metadata": {"continue": 7}},
    ],
)
async def test_invalid_list_is_refused(cluster, server, answer):
    server.answer = answer
    with pytest.raises(Unavailable):
        await cluster.find("v1", "Pod", namespace="shop")


@pytest.mark.parametrize("answer", [{"kind": "PodList", "items": None}, {"kind": "PodList", "items": [ITEM]}])
async def test_valid_list_is_read(cluster, server, answer):
    server.answer = answer
    found = await cluster.find("v1", "Pod", namespace="shop")
    assert [each["metadata"]["uid"] for each in found] == ["u" for _ in answer["items"] or ()]
    assert server.seen == [("GET", "/api/v1/namespaces/shop/pods?limit=500")]


@pytest.mark.parametrize("path", ["/api/v1/nodes/..", "/api/v1/nodes/.", "/api/v1/nodes/", "/api//v1", "/../x"])
async def test_path_that_normalization_changes_is_refused(cluster, server, path):
    with pytest.raises(ClusterError, match="not a path"):
        await cluster._api.request("GET", path)
    assert server.seen == []


@given(st.text(max_size=30) | st.from_regex(r"[-.a-z0-9/%]{0,12}", fullmatch=True))
def test_name_stays_one_path_segment(text):
    for allowed in (is_label, is_subdomain, is_segment):
        if allowed(text):
            assert text not in ("", ".", "..")
            assert not re.search(r"[/%\x00\s]", text)
    if is_label(text):
        assert is_subdomain(text)
    if is_subdomain(text):
        assert is_segment(text)
    if is_api_version(text):
        assert text.count("/") <= 1


@pytest.mark.parametrize("name", ["a", "web-1", "ip-10-0-0-1.eu.compute.internal", "0", "a" * 253])
def test_valid_names_are_accepted(name):
    assert is_subdomain(name)


@pytest.mark.parametrize("metadata", [{}, {"creationTimestamp": None}, None])
async def test_response_to_a_review_has_neither_name_nor_uid(cluster, server, metadata):
    """A review is not stored, so its response has no name to compare; the kind: a check of a field that is absent."""
    user = {"username": "alice"}
    server.answer = {"kind": "SelfSubjectReview", "metadata": metadata, "status": {"userInfo": user}}
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {"name": "me"}}
    answer = await cluster.create(review)
    assert answer["status"]["userInfo"] == user
    assert await caller(cluster) == "alice"


async def test_other_object_without_a_name_is_refused(cluster, server):
    server.answer = {"kind": "Pod", "metadata": {}}
    with pytest.raises(ClusterError):
        await cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop"}})
