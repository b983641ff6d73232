"""The `Cluster` port on a real API server."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest
from tests.support.conformance import settled

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import API_VERSION
from forestall.api.remediation import ObjectRef
from forestall.devcluster.kwok import KwokCluster
from forestall.errors import ClusterError, Conflict, Denied, Forbidden, LostLease, NotFound, Throttled
from forestall.ports import Event, ScaleSubresource

T = TypeVar("T")

SLO = "ServiceLevelObjective"


@pytest.fixture
async def api(cluster: KwokCluster) -> AsyncIterator[Api]:
    async with Api(await Access.find(str(cluster.kubeconfig))) as api:
        yield api


@pytest.fixture
def kubernetes(api: Api, namespace: str) -> KubernetesCluster:
    return KubernetesCluster(api, Recorder(api, "test"), namespace)


def workload(kind: str, name: str, replicas: int | None = 1) -> dict[str, Any]:
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "example.com/main"}]},
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def objective(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": SLO,
        "metadata": {"name": name, **metadata},
        "spec": {"target": {"name": "web"}, "indicator": {"raw": {"errorRatio": "x"}}, "objective": 99},
    }


def ref(namespace: str, kind: str, name: str, api_version: str = "apps/v1", uid: str = "") -> ObjectRef:
    return ObjectRef(api_version=api_version, kind=kind, namespace=namespace, name=name, uid=uid)


def slo_ref(namespace: str, name: str, uid: str = "") -> ObjectRef:
    return ref(namespace, SLO, name, "forestall.dev/v1alpha1", uid)


async def test_read_distinguishes_an_object_from_a_later_one(kubernetes, cluster, namespace):
    cluster.apply(workload("Deployment", "web"), namespace=namespace)
    found = await kubernetes.read(ref(namespace, "Deployment", "web"))
    uid = found["metadata"]["uid"]
    assert (await kubernetes.read(ref(namespace, "Deployment", "web", uid=uid)))["metadata"]["uid"] == uid
    with pytest.raises(NotFound, match="another one of the same name"):
        await kubernetes.read(ref(namespace, "Deployment", "web", uid="11111111-1111-1111-1111-111111111111"))


async def test_missing_object_is_named(kubernetes, namespace):
    with pytest.raises(NotFound, match=r'deployments\.apps "none" not found'):
        await kubernetes.read(ref(namespace, "Deployment", "none"))
    with pytest.raises(NotFound, match=r"no kind Rocket of example\.com/v9"):
        await kubernetes.read(ref(namespace, "Rocket", "one", "example.com/v9"))
    with pytest.raises(NotFound, match="no kind Rocket of apps/v1"):
        await kubernetes.read(ref(namespace, "Rocket", "one"))


@pytest.mark.parametrize("name", [".", "..", "", "a/b", "%2e%2e", "../namespaces/kube-system", "UPPER"])
async def test_invalid_name_from_a_metric_requests_nothing_else(kubernetes, namespace, name):
    """The kind: text from a tenant's metric used as a name. The list of all nodes was taken for the node `..`."""
    for target in (ref("", "Node", name, "v1"), ref(namespace, "Pod", name, "v1"), ref(name, "Pod", "web", "v1")):
        with pytest.raises(NotFound):
            await kubernetes.read(target)
        with pytest.raises(NotFound):
            await kubernetes.patch(target, {"metadata": {"labels": {"a": "b"}}}, "1")
    with pytest.raises(NotFound):
        await kubernetes.evict(ref(namespace, "Pod", name, "v1", "u"))
    with pytest.raises(NotFound):
        await kubernetes.read_scale(ref(namespace, "Deployment", name))


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "ReplicaSet"])
async def test_workload_with_scale_is_scaled(kubernetes, cluster, namespace, kind):
    cluster.apply(workload(kind, "web", 2), namespace=namespace)
    target = ref(namespace, kind, "web")
    found = await kubernetes.read_scale(target)
    assert (found.spec_replicas, found.selector) == (2, "app=web")
    assert found.uid == (await kubernetes.read(target))["metadata"]["uid"]
    written = await scale_to(kubernetes, target.model_copy(update={"uid": found.uid}), 4)
    assert written.spec_replicas == 4
    assert written.uid == found.uid
    assert (await kubernetes.read(target))["spec"]["replicas"] == 4


async def scale_to(kubernetes: KubernetesCluster, target: ObjectRef, replicas: int) -> ScaleSubresource:
    """Scale after the workload's own controller has stopped writing its status."""

    async def scale() -> ScaleSubresource:
        found = await kubernetes.read_scale(target)
        return await kubernetes.write_scale(target, replicas, found.resource_version)

    return await settled(scale)


async def test_scales_to_zero_and_back(kubernetes, cluster, namespace):
    cluster.apply(workload("Deployment", "web", 1), namespace=namespace)
    target = ref(namespace, "Deployment", "web")
    assert (await scale_to(kubernetes, target, 0)).spec_replicas == 0
    assert (await kubernetes.read_scale(target)).spec_replicas == 0
    assert (await scale_to(kubernetes, target, 1)).spec_replicas == 1


async def test_operator_is_the_field_manager_of_scaled_replicas(kubernetes, cluster, namespace):
    cluster.apply(workload("Deployment", "web", 1), namespace=namespace)
    target = ref(namespace, "Deployment", "web")
    await scale_to(kubernetes, target, 3)
    managers = [
        entry["manager"]
        for entry in (await kubernetes.read(target))["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    ]
    assert managers == ["forestall"]


async def test_concurrently_changed_workload_is_not_scaled(kubernetes, cluster, namespace):
    cluster.apply(workload("Deployment", "web", 1), namespace=namespace)
    target = ref(namespace, "Deployment", "web")
    before = await kubernetes.read_scale(target)
    cluster.kubectl("scale", "deployment/web", "--replicas=2", "-n", namespace)
    with pytest.raises(Conflict):
        await kubernetes.write_scale(target, 9, before.resource_version)
    assert (await kubernetes.read_scale(target)).spec_replicas == 2


async def test_other_workload_of_the_same_name_is_not_scaled(kubernetes, cluster, namespace):
    cluster.apply(workload("Deployment", "web", 1), namespace=namespace)
    target = ref(namespace, "Deployment", "web", uid="11111111-1111-1111-1111-111111111111")
    with pytest.raises(NotFound, match="another one"):
        await kubernetes.read_scale(target)
    known = ref(namespace, "Deployment", "web")
    with pytest.raises(ClusterError, match=r"(?i)uid"):
        await scale_to_known(kubernetes, known, target)
    assert (await kubernetes.read_scale(known)).spec_replicas == 1


async def scale_to_known(kubernetes: KubernetesCluster, known: ObjectRef, target: ObjectRef) -> None:
    """Try to scale `target` with its current resource version until its controllers stop changing it."""
    for _ in range(50):
        version = (await kubernetes.read_scale(known)).resource_version
        try:
            await kubernetes.write_scale(target, 9, version)
        except Conflict as error:
            if "uid" in str(error).lower():
                raise
            await asyncio.sleep(0.1)
        else:
            return


async def test_kind_without_scale_is_named(kubernetes, cluster, namespace):
    cluster.apply(workload("DaemonSet", "agent", None), namespace=namespace)
    target = ref(namespace, "DaemonSet", "agent")
    with pytest.raises(NotFound, match="DaemonSet of apps/v1 has no /scale"):
        await kubernetes.read_scale(target)
    with pytest.raises(NotFound, match="no /scale"):
        await kubernetes.write_scale(target, 1, "1")


def worker_crd(group: str) -> dict[str, Any]:
    """A custom kind with a scale subresource on fields of other names."""
    status = {"type": "object", "properties": {"size": {"type": "integer"}, "labels": {"type": "string"}}}
    spec = {"type": "object", "properties": {"size": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"spec": spec, "status": status}}
    scale = {
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.labels",
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": scale},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"workers.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Worker", "plural": "workers", "singular": "worker"},
            "versions": [version],
        },
    }


async def test_scales_a_custom_kind_that_comes_and_goes(kubernetes, cluster, namespace, monkeypatch):
    monkeypatch.setattr("forestall.adapters.kubernetes.kinds.LOOK_AGAIN", 0)
    group = f"{namespace}.example.com"
    target = ref(namespace, "Worker", "w", f"{group}/v1")
    with pytest.raises(NotFound, match="no kind Worker"):
        await kubernetes.read_scale(target)

    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(worker_crd(group)))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/workers.{group}", "--timeout=180s")
    worker = {"apiVersion": f"{group}/v1", "kind": "Worker", "metadata": {"name": "w"}, "spec": {"size": 2}}
    cluster.apply(worker, namespace=namespace)
    before = await settled(lambda: kubernetes.read_scale(target), NotFound)
    assert (before.spec_replicas, before.status_replicas, before.selector) == (2, 0, "")
    known = target.model_copy(update={"uid": before.uid})
    after = await kubernetes.write_scale(known, 5, before.resource_version)
    assert after.spec_replicas == 5
    with pytest.raises(Conflict):
        await kubernetes.write_scale(known, 6, before.resource_version)
    assert (await kubernetes.read(target))["spec"]["size"] == 5

    cluster.kubectl("delete", "crd", f"workers.{group}")
    async with asyncio.timeout(180):
        refusal = ""
        while "no kind Worker" not in refusal:  # discovery lists a kind for a moment after its definition is gone
            with pytest.raises(NotFound) as raised:
                await kubernetes.read_scale(target)
            refusal = str(raised.value)


async def test_patch_checks_the_version_read(kubernetes, cluster):
    node = ObjectRef(api_version="v1", kind="Node", name="node-1")
    owner = "example.com/test"
    seen: list[str] = []

    async def cordon() -> Any:  # patiently, because the node's heartbeat writes to it as well
        seen.append((await kubernetes.read(node))["metadata"]["resourceVersion"])
        change = {"metadata": {"annotations": {owner: "me"}}, "spec": {"unschedulable": True}}
        return await kubernetes.patch(node, change, seen[-1])

    patched = await settled(cordon, Conflict)
    assert patched["spec"]["unschedulable"] is True
    assert patched["metadata"]["annotations"][owner] == "me"
    with pytest.raises(Conflict):
        await kubernetes.patch(node, {"spec": {"unschedulable": None}}, seen[-1])
    cluster.kubectl("uncordon", "node-1")
    cluster.kubectl("annotate", "node", "node-1", f"{owner}-")


async def test_creates_once(kubernetes, namespace):
    body = objective("checkout", namespace=namespace, labels={"team": "a"})
    created = await kubernetes.create(body)
    assert created["metadata"]["uid"]
    with pytest.raises(Conflict, match="already exists"):
        await kubernetes.create(body)


async def test_delete_checks_the_version_read(kubernetes, namespace):
    created = await kubernetes.create(objective("checkout", namespace=namespace))
    target = slo_ref(namespace, "checkout", created["metadata"]["uid"])
    with pytest.raises(Conflict):
        await kubernetes.delete(target, "1")
    await kubernetes.delete(target, created["metadata"]["resourceVersion"])
    with pytest.raises(NotFound):
        await kubernetes.read(target)
    with pytest.raises(NotFound):
        await kubernetes.delete(target, created["metadata"]["resourceVersion"])


async def test_error_has_the_reason_of_the_server(kubernetes, namespace):
    bad = objective("checkout", namespace=namespace)
    bad["spec"]["objective"] = 180
    with pytest.raises(ClusterError, match=r"spec\.objective"):
        await kubernetes.create(bad)


async def test_map_of_a_status_can_become_empty(kubernetes, namespace):
    target, version = await created(kubernetes, namespace)
    status = {"cause": {"indicator": "memory", "labels": {"pod": "a"}}}
    before = await kubernetes.apply_status(target, status, version)
    version = before["metadata"]["resourceVersion"]
    after = await kubernetes.apply_status(target, {"cause": {"indicator": "sli", "labels": {}}}, version)
    assert after["status"]["cause"] == {"indicator": "sli"}


async def test_unchanged_status_is_no_write(kubernetes, namespace):
    target, version = await created(kubernetes, namespace)
    status = {"state": "Healthy", "sli": "99.9 %", "observedGeneration": 1}
    first = await kubernetes.apply_status(target, status, version)
    second = await kubernetes.apply_status(target, status, first["metadata"]["resourceVersion"])
    assert first["status"]["state"] == "Healthy"
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_operator_manages_the_whole_status(kubernetes, cluster, namespace):
    target, version = await created(kubernetes, namespace)
    await kubernetes.apply_status(target, {"state": "AtRisk", "sli": "98 %", "timeToBreach": "5m"}, version)
    patch = json.dumps({"status": {"state": "Healthy"}})
    cluster.kubectl("patch", "servicelevelobjective", "checkout", "-n", namespace, "--subresource=status",
                    "--type=merge", "-p", patch)  # fmt: skip
    version = (await kubernetes.read(target))["metadata"]["resourceVersion"]
    applied = await kubernetes.apply_status(target, {"state": "AtRisk", "sli": "98 %"}, version)
    assert applied["status"] == {"state": "AtRisk", "sli": "98 %"}  # forced, and what is no longer said is gone
    assert applied["spec"]["objective"] == 99


async def test_status_is_not_applied_after_a_concurrent_change(kubernetes, cluster, namespace):
    target, version = await created(kubernetes, namespace)
    cluster.kubectl("annotate", "servicelevelobjective", "checkout", "-n", namespace, "a=b")
    with pytest.raises(Conflict):
        await kubernetes.apply_status(target, {"state": "Healthy"}, version)


async def test_status_of_a_deleted_object_is_an_error(kubernetes, cluster, namespace):
    target, version = await created(kubernetes, namespace)
    cluster.kubectl("delete", "servicelevelobjective", "checkout", "-n", namespace)
    with pytest.raises(ClusterError):
        await kubernetes.apply_status(target, {"state": "Healthy"}, version)
    with pytest.raises(NotFound):
        await kubernetes.read(target.model_copy(update={"uid": ""}))  # no new object was made
    _, later = await created(kubernetes, namespace)
    with pytest.raises(Conflict):
        await kubernetes.apply_status(target, {"state": "Healthy"}, version)
    found = await kubernetes.read(target.model_copy(update={"uid": ""}))
    assert found["metadata"]["resourceVersion"] == later, "not even for a moment"


async def test_status_that_violates_the_schema_is_refused(kubernetes, namespace):
    target, version = await created(kubernetes, namespace)
    with pytest.raises(ClusterError, match=r"status\.state") as refused:
        await kubernetes.apply_status(target, {"state": "Bewitched"}, version)
    assert not isinstance(refused.value, NotFound)


@pytest.mark.parametrize("write", ["create", "replace_status", "apply_status"])
async def test_a_field_that_the_definition_lacks_is_refused_and_not_dropped(kubernetes, namespace, write):
    """The kind: written is not recorded. Under definitions older than the operator, a step would be lost in silence."""
    if write == "create":
        body = objective("late", namespace=namespace)
        request = kubernetes.create({**body, "spec": {**body["spec"], "ofTomorrow": "x"}})
    else:
        target, version = await created(kubernetes, namespace)
        request = getattr(kubernetes, write)(target, {"state": "AtRisk", "ofTomorrow": "x"}, version)
    with pytest.raises(Denied, match=r"ofTomorrow.*definitions are older than this forestall"):
        await request
    assert not [item for item in await kubernetes.find(API_VERSION, SLO, namespace) if "status" in item]


async def created(kubernetes, namespace):
    """Return an objective and its version."""
    metadata = (await kubernetes.create(objective("checkout", namespace=namespace)))["metadata"]
    return slo_ref(namespace, "checkout", metadata["uid"]), metadata["resourceVersion"]


async def test_replacing_a_status_checks_the_version_read(kubernetes, namespace):
    created = await kubernetes.create(objective("checkout", namespace=namespace))
    target = slo_ref(namespace, "checkout", created["metadata"]["uid"])
    version = created["metadata"]["resourceVersion"]
    first = await kubernetes.replace_status(target, {"state": "AtRisk", "sli": "98 %"}, version)
    assert first["status"] == {"state": "AtRisk", "sli": "98 %"}
    with pytest.raises(Conflict):
        await kubernetes.replace_status(target, {"state": "Healthy"}, version)
    second = await kubernetes.replace_status(target, {"state": "Healthy"}, first["metadata"]["resourceVersion"])
    assert second["status"] == {"state": "Healthy"}
    assert second["spec"] == created["spec"]
    assert second["metadata"]["generation"] == 1


async def test_finds_by_label_and_namespace(kubernetes, namespace):
    await kubernetes.create(objective("a", namespace=namespace, labels={"team": "red"}))
    await kubernetes.create(objective("b", namespace=namespace, labels={"team": "blue"}))
    found = await kubernetes.find("forestall.dev/v1alpha1", SLO, namespace, "team=red")
    assert [(item["kind"], item["metadata"]["name"]) for item in found] == [(SLO, "a")]
    assert len(await kubernetes.find("forestall.dev/v1alpha1", SLO, namespace)) == 2


async def test_reads_long_lists_page_by_page(kubernetes, api, cluster, namespace, monkeypatch):
    items = [objective(f"slo-{number:04}") for number in range(1203)]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=manifest, timeout_s=120)
    asked: list[str] = []
    request = api.request

    async def counted(method: str, path: str, **more: Any) -> Any:
        if path.endswith("servicelevelobjectives"):
            asked.append(path)
        return await request(method, path, **more)

    monkeypatch.setattr(api, "request", counted)
    found = await kubernetes.find("forestall.dev/v1alpha1", SLO, namespace)
    assert len({item["metadata"]["name"] for item in found}) == 1203
    assert len(asked) == 3
    uids = await kubernetes.uids("forestall.dev/v1alpha1", SLO)
    assert uids >= {item["metadata"]["uid"] for item in found}


async def test_list_begins_again_after_an_expired_token(kubernetes, api, namespace, monkeypatch):
    monkeypatch.setattr("forestall.adapters.kubernetes.cluster.PAGE", 1)
    for name in ("a", "b", "c"):
        await kubernetes.create(objective(name, namespace=namespace))
    spoilt: list[str] = []
    request = api.request

    async def spoil(method: str, path: str, **more: Any) -> Any:
        query = more.get("query") or {}
        if "continue" in query and not spoilt:
            spoilt.append(path)
            more["query"] = {**query, "continue": "bm9uc2Vuc2U"}
        return await request(method, path, **more)

    monkeypatch.setattr(api, "request", spoil)
    with pytest.raises(ClusterError):  # nonsense is refused, not taken for the end of the list
        await kubernetes.find("forestall.dev/v1alpha1", SLO, namespace)
    found = await kubernetes.find("forestall.dev/v1alpha1", SLO, namespace)
    assert [item["metadata"]["name"] for item in found] == ["a", "b", "c"]


async def test_reads_secrets_of_its_own_namespace(kubernetes, cluster, namespace):
    cluster.kubectl("create", "secret", "generic", "prometheus", "-n", namespace, "--from-literal=token=hü")
    assert await kubernetes.read_secret("prometheus", "token") == "hü"
    with pytest.raises(NotFound, match="has no key password"):
        await kubernetes.read_secret("prometheus", "password")
    with pytest.raises(NotFound, match='"none" not found'):
        await kubernetes.read_secret("none", "token")


async def test_missing_permission_is_named(cluster, namespace):
    cluster.apply(workload("Deployment", "web", 1), namespace=namespace)
    cluster.kubectl("create", "role", "reader", "-n", namespace, "--verb=get", "--resource=deployments.apps/scale")
    cluster.kubectl("create", "rolebinding", "reader", "-n", namespace, "--role=reader",
                    f"--serviceaccount={namespace}:default")  # fmt: skip
    access = await Access.find(str(cluster.kubeconfig_for(namespace, "default")))
    async with Api(access) as api:
        weak = KubernetesCluster(api, Recorder(api, "test"), namespace)
        target = ref(namespace, "Deployment", "web")
        # the API server's authorizer knows of a new right a moment later
        version = (await settled(lambda: weak.read_scale(target), Forbidden)).resource_version
        with pytest.raises(Forbidden, match='cannot patch resource "deployments/scale" in API group "apps"'):
            await weak.write_scale(target, 2, version)
        with pytest.raises(Forbidden, match='cannot list resource "nodes" in API group "" at the cluster scope'):
            await weak.find("v1", "Node")
        with pytest.raises(Forbidden, match='cannot get resource "secrets"'):
            await weak.read_secret("x", "y")


async def test_rotated_token_is_reloaded(cluster, namespace, tmp_path):
    """The token in the file is refused by the server, and then replaced, as the kubelet does."""
    good = await Access.find(str(cluster.kubeconfig_for(namespace, "default")))
    config = json.loads(cluster.kubeconfig_for(namespace, "default").read_text())
    config["users"][0]["user"] = {"tokenFile": str(tmp_path / "token")}
    (tmp_path / "config").write_text(json.dumps(config))
    (tmp_path / "token").write_text("expired")
    access = await Access.find(str(tmp_path / "config"))
    async with Api(access) as api:
        with pytest.raises(Forbidden, match="does not accept these credentials"):
            await api.request("GET", "/api/v1")
        assert good.token is not None
        (tmp_path / "token").write_text(good.token)
        assert (await api.request("GET", "/api/v1"))["kind"] == "APIResourceList"


async def test_events_are_shown_by_kubectl_describe(api, cluster, namespace):
    async with Recorder(api, "test-pod") as recorder:
        kubernetes = KubernetesCluster(api, recorder, namespace)
        created = await kubernetes.create(objective("checkout", namespace=namespace))
        about = slo_ref(namespace, "checkout", created["metadata"]["uid"])
        for probability in ("0.81", "0.93"):
            await kubernetes.record(Event(about, "Warning", "AtRisk", f"cpu passes 0.8 with P = {probability}"))
        await kubernetes.record(Event(about, "Normal", "Held", "cooldown"))
    described = cluster.kubectl("describe", "servicelevelobjective", "checkout", "-n", namespace).stdout
    assert "cpu passes 0.8 with P = 0.93" in described
    assert "P = 0.81" not in described
    assert "x2 over" in described
    assert "cooldown" in described


async def test_events_about_nodes_are_accepted(api, kubernetes, cluster, namespace):
    node = await kubernetes.read(ObjectRef(api_version="v1", kind="Node", name="node-1"))
    about = ObjectRef(api_version="v1", kind="Node", name="node-1", uid=node["metadata"]["uid"])
    async with Recorder(api, "test-pod") as recorder:
        await KubernetesCluster(api, recorder, namespace).record(Event(about, "Normal", "Cordoned", namespace))
    events = cluster.items("events")
    assert namespace in [event["message"] for event in events]


async def test_eviction_checks_the_uid_and_the_disruption_budget(kubernetes, cluster, namespace):
    cluster.apply(workload("StatefulSet", "web", 2), namespace=namespace)
    cluster.kubectl("rollout", "status", "statefulset/web", "-n", namespace, "--timeout=240s")
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": spec}
    cluster.apply(budget, namespace=namespace)
    path = "--for=jsonpath={.status.currentHealthy}=2"
    cluster.kubectl("wait", path, "poddisruptionbudget/web", "-n", namespace, "--timeout=180s")
    found = await kubernetes.read(ref(namespace, "Pod", "web-1", "v1"))
    pod = ref(namespace, "Pod", "web-1", "v1", uid=found["metadata"]["uid"])

    with pytest.raises(Throttled, match="The disruption budget web needs 2 healthy pods and has 2"):
        await kubernetes.evict(pod)
    cluster.kubectl("delete", "poddisruptionbudget", "web", "-n", namespace)
    with pytest.raises(Conflict):
        await kubernetes.evict(pod.model_copy(update={"uid": "11111111-1111-1111-1111-111111111111"}))
    await kubernetes.evict(pod)

    async def replaced() -> Any:
        after = await kubernetes.read(ref(namespace, "Pod", "web-1", "v1"))
        if after["metadata"]["uid"] == pod.uid:
            raise NotFound("not yet")
        return after

    assert (await settled(replaced, NotFound))["metadata"]["uid"] != pod.uid
    with pytest.raises(Conflict):
        await kubernetes.evict(pod)
    with pytest.raises(NotFound):
        await kubernetes.evict(pod.model_copy(update={"name": "web-7"}))


async def test_finds_the_pods_of_a_node(kubernetes, cluster, namespace):
    cluster.apply(workload("DaemonSet", "web", None), namespace=namespace)
    cluster.kubectl("rollout", "status", "daemonset/web", "-n", namespace, "--timeout=240s")
    (found,) = await kubernetes.find("v1", "Pod", namespace, field_selector="spec.nodeName=node-1")
    assert found["spec"]["nodeName"] == "node-1"


async def test_process_that_does_not_lead_reads_but_does_not_write(api, cluster, namespace):
    def fence() -> float:
        raise LostLease("this process does not lead")

    cluster.apply(workload("Deployment", "web", 1), namespace=namespace)
    target = ref(namespace, "Deployment", "web")
    async with Recorder(api, "test-pod") as recorder:
        standby = KubernetesCluster(api, recorder, namespace, fence)
        found = await standby.read_scale(target)
        await standby.read(target)
        await standby.find("apps/v1", "Deployment", namespace)
        for write in (
            standby.write_scale(target, 2, found.resource_version),
            standby.patch(target, {"spec": {"paused": True}}, found.resource_version),
            standby.create(objective("checkout", namespace=namespace)),
            standby.replace_status(slo_ref(namespace, "x"), {}, "1"),
            standby.apply_status(slo_ref(namespace, "x"), {}, "1"),
            standby.evict(ref(namespace, "Pod", "x", "v1", uid="u")),
        ):
            with pytest.raises(LostLease):
                await write
        await standby.record(Event(target, "Normal", "Scaled", "forbidden words"))
    assert (await standby.read_scale(target)).spec_replicas == 1
    with pytest.raises(NotFound):
        await standby.read(slo_ref(namespace, "checkout"))
    assert "forbidden words" not in cluster.kubectl("get", "events", "-n", namespace).stdout
