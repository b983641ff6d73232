"""The registry, updated by Kopf and the pruner from a real API server, through a proxy with faults."""

import asyncio
import importlib.util
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from forestall import handlers
from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import ServiceLevelObjective
from forestall.devcluster.kwok import KwokCluster
from forestall.ports import RestConfig
from forestall.pruner import Pruner
from forestall.registry import Registry

SLO = ServiceLevelObjective.KIND


def beside(name: str) -> ModuleType:
    """Return the module of a file in this folder."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


proxy_module = beside("proxy")


@dataclass
class Line:
    """Access through the proxy, with tokens that a test sets."""

    real: RestConfig
    proxy: Any
    token: str | None = None
    refused: list[str | None] = field(default_factory=list)

    def rest_config(self) -> RestConfig:
        return replace(self.real, server=self.proxy.url, token=self.token, certificate_path=None, private_key_path=None)

    async def renew(self, refused: str | None) -> bool:
        self.refused.append(refused)
        return self.token != refused


@dataclass
class Watched:
    """A registry with the watches and the pruner that update it."""

    registry: Registry
    line: Line
    proxy: Any
    watching: asyncio.Task[None]
    pruner: Pruner

    def find(self, namespace: str, name: str) -> ServiceLevelObjective | None:
        return self.registry.get(ServiceLevelObjective, name, namespace)

    async def until(self, condition: Callable[[], Any], seconds: float = 30) -> None:
        """Wait until the condition holds, while the watches run."""
        async with asyncio.timeout(seconds):
            while not condition():
                if self.watching.done():
                    self.watching.result()
                    raise AssertionError("the watching has ended")
                await asyncio.sleep(0.05)


@pytest.fixture
async def watched(cluster: KwokCluster) -> AsyncIterator[Watched]:
    access = await Access.find(str(cluster.kubeconfig))
    async with Api(access) as api, proxy_module.Proxy(access).serve() as proxy:
        registry, line = Registry(), Line(access.rest_config(), proxy)
        pruner = Pruner(registry, KubernetesCluster(api, Recorder(api, "test"), "default"), interval=1)
        async with running(pruner.run()):
            watching = asyncio.create_task(handlers.watch(registry, line, "test"))
            yield Watched(registry, line, proxy, watching, pruner)
            watching.cancel()
            await asyncio.wait({watching}, timeout=180)


@asynccontextmanager
async def running(coroutine: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def objective(name: str, value: float = 99.0) -> dict[str, Any]:
    return {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": SLO,
        "metadata": {"name": name},
        "spec": {"target": {"name": "web"}, "indicator": {"raw": {"errorRatio": "x"}}, "objective": value},
    }


async def apply(cluster: KwokCluster, namespace: str, *objects: dict[str, Any]) -> None:
    await asyncio.to_thread(cluster.apply, *objects, namespace=namespace)


async def delete(cluster: KwokCluster, namespace: str, name: str) -> None:
    await asyncio.to_thread(cluster.kubectl, "delete", "servicelevelobjective", name, "-n", namespace)


async def test_existing_objects_are_read_and_changes_followed(watched, cluster, namespace):
    await apply(cluster, namespace, objective("early"))
    await watched.until(lambda: watched.registry.synced)
    assert watched.find(namespace, "early") is not None
    assert watched.registry.labels(namespace) == {"kubernetes.io/metadata.name": namespace}

    await apply(cluster, namespace, objective("late"))
    await watched.until(lambda: watched.find(namespace, "late"))
    await apply(cluster, namespace, objective("late", 95))
    await watched.until(lambda: watched.find(namespace, "late").spec.objective == 95)
    await delete(cluster, namespace, "late")
    await watched.until(lambda: not watched.find(namespace, "late"))
    await asyncio.to_thread(cluster.kubectl, "label", "namespace", namespace, "team=a")
    await watched.until(lambda: watched.registry.labels(namespace).get("team") == "a")


async def test_watched_objects_are_not_changed(watched, cluster, namespace):
    await apply(cluster, namespace, objective("checkout"))
    await watched.until(lambda: watched.find(namespace, "checkout"))
    get = ("get", "servicelevelobjective", "checkout", "-n", namespace, "--show-managed-fields", "-o", "json")
    found = json.loads((await asyncio.to_thread(cluster.kubectl, *get)).stdout)
    assert "finalizers" not in found["metadata"]
    assert set(found["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert "status" not in found
    assert {entry["manager"] for entry in found["metadata"]["managedFields"]} == {"kubectl-client-side-apply"}


async def test_invalid_object_affects_no_other(watched, cluster, namespace):
    """As when the cluster's CRDs are of another version than the operator."""
    watched.proxy.spoil = (b'"objective":42.5', b'"objective":425')
    await apply(cluster, namespace, objective("good"), objective("bad", 42.5))
    await watched.until(lambda: watched.registry.is_invalid(ServiceLevelObjective, "bad", namespace))
    await watched.until(lambda: watched.find(namespace, "good"))
    (invalid,) = [each for each in watched.registry.invalid() if each.ref.namespace == namespace]
    assert invalid.message == "spec.objective: Input should be less than 100"
    assert invalid.generation == 1
    await apply(cluster, namespace, objective("bad", 43))
    await watched.until(lambda: watched.find(namespace, "bad"))
    assert not [each for each in watched.registry.invalid() if each.ref.namespace == namespace]


async def test_object_deleted_while_the_watch_history_expired_is_pruned(watched, cluster, namespace):
    await apply(cluster, namespace, objective("stays"), objective("goes"))
    await watched.until(lambda: watched.find(namespace, "goes") and watched.find(namespace, "stays"))
    watched.proxy.cut()
    await delete(cluster, namespace, "goes")
    await apply(cluster, namespace, objective("comes"))
    watched.proxy.forget()
    await watched.until(lambda: watched.find(namespace, "comes"))
    await watched.until(lambda: not watched.find(namespace, "goes"))
    assert watched.find(namespace, "stays") is not None


async def test_watches_survive_an_outage_of_the_server(watched, cluster, namespace):
    await watched.until(lambda: watched.registry.synced)
    watched.proxy.cut()
    await apply(cluster, namespace, objective("meanwhile"))
    await asyncio.sleep(3)  # some attempts fail
    assert watched.find(namespace, "meanwhile") is None
    watched.proxy.down = False
    await watched.until(lambda: watched.find(namespace, "meanwhile"))


async def test_watches_survive_a_refused_token(watched, cluster, namespace):
    watched.line.token = watched.proxy.token = None
    await watched.until(lambda: watched.registry.synced)
    watched.proxy.token = "next"
    watched.proxy.cut()
    watched.proxy.down = False
    await watched.until(lambda: watched.line.refused)
    await apply(cluster, namespace, objective("after"))
    assert watched.find(namespace, "after") is None
    watched.line.token = "next"
    await watched.until(lambda: watched.find(namespace, "after"))


async def test_watches_stop(watched):
    await watched.until(lambda: watched.registry.synced)
    watched.watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watched.watching
    for thread in [one for one in threading.enumerate() if one.name == "kopf"]:
        await asyncio.to_thread(thread.join, 20)  # it says that it ends before it has ended
        assert not thread.is_alive()


async def test_missing_crds_are_detected(watched):
    await asyncio.wait_for(watched.pruner.wait_for_kinds(), 10)


async def test_many_objects(watched, cluster, namespace):
    items = [objective(f"slo-{number:04}") for number in range(1100)]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    create = ("create", "-n", namespace, "-f", "-")
    await asyncio.to_thread(cluster.kubectl, *create, stdin=manifest, timeout_s=120)
    await watched.until(lambda: len(watched.registry.all(ServiceLevelObjective, namespace)) == 1100)
    watched.proxy.cut()
    path = f"/apis/forestall.dev/v1alpha1/namespaces/{namespace}/servicelevelobjectives"
    await asyncio.to_thread(cluster.kubectl, "delete", "--raw", path)
    watched.proxy.forget()
    await watched.until(lambda: not watched.registry.all(ServiceLevelObjective, namespace))
