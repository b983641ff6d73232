"""A Remediation that acts with the permissions that the chart gives to the operator's ServiceAccount."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support.control_plane import PooledCluster

from forestall.actions.node_action import CORDONED_BY
from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import API_VERSION, Remediation
from forestall.api.remediation import Intent, ObjectRef
from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.ports import Cluster
from forestall.remediation import RemediationReconciler, RiskOutlook

OPT_INS: Final = ("workloads.keda", "workloads.rollback", "workloads.jobs", "nodes.drain")
"""The chart's values that grant further permissions."""

AT_RISK: Final = {"probability": 0.9, "replicas_forecast": 5, "replicas_observed": 4}


async def unguarded(_: Remediation) -> None:
    """No guard holds."""


class Life:
    """One Remediation on the cluster. The test sets its clock, so that hours pass in seconds."""

    def __init__(self, cluster: PooledCluster, port: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.port = port
        """The cluster that the Remediation acts through."""
        self.namespace = namespace
        self.reconciler = RemediationReconciler(port, pause_check=self._pause_check)
        self.now = time.time()
        self.stopped: Hold | None = None
        """Why people have paused it."""
        self.remediation: Remediation

    async def _pause_check(self, _: Remediation, __: float) -> Hold | None:
        return self.stopped

    async def open(self, target: ObjectRef, action: Mapping[str, Any], **changes: Any) -> Remediation:
        """Create the Remediation of an intent; `changes` are other fields of it."""
        owner = {"apiVersion": API_VERSION, "namespace": self.namespace, "name": "web"}
        intent = {
            "policy": {**owner, "kind": "RemediationPolicy", "uid": "p-1"},
            "objective": {**owner, "kind": "ServiceLevelObjective", "uid": "o-1"},
            "episode": 1,
            "target": target.dump(),
            "action": action,
            "mode": "Auto",
            "evidence": {"indicator": "load", "reason": "load is forecast to pass its limit"},
            "created": stamp(self.now),
            "deadline": stamp(self.now + 1800),
        }
        self.remediation = await self.reconciler.open(Intent.model_validate({**intent, **changes}))
        return self.remediation

    async def cycle(self, after: float = 10.0, **outlook: Any) -> Remediation:
        """Let `after` seconds pass, and advance with an outlook with a new sample: by default at risk."""
        self.now += after
        usual: dict[str, Any] = {"fresh": True, "breached": False, "sampled_at": self.now, **AT_RISK}
        view = RiskOutlook(**{**usual, **outlook})
        self.remediation = await self.reconciler.reconcile(self.remediation, view, unguarded, self.now)
        return self.remediation

    async def until(self, *phases: str, after: float = 1.0, **outlook: Any) -> Remediation:
        """Run cycles until the Remediation is in one of the phases, while the cluster's controllers do their work."""
        end = time.monotonic() + 40
        while time.monotonic() < end:
            life = await self.cycle(after, **outlook)
            if life.status.phase in phases:
                return life
            await asyncio.sleep(0.1)
        raise AssertionError(f"not {phases} in time: {self.remediation.status}")

    def ref(self, api_version: str, kind: str, name: str) -> ObjectRef:
        """Return a reference to an object as it is now, with its UID."""
        found = self.cluster.get(kind, name, self.namespace)["metadata"]
        place = found.get("namespace", "")
        return ObjectRef(api_version=api_version, kind=kind, namespace=place, name=name, uid=found["uid"])

    def run(self, kind: str = "Deployment", **spec: Any) -> ObjectRef:
        """Create the workload `web`, and return it when its pods are ready."""
        labels = {"app": "web"}
        pod = {"containers": [{"name": "main", "image": "example.com/main"}]}
        usual = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
        body = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}, "spec": {**usual, **spec}}
        self.cluster.apply(body, namespace=self.namespace)
        self.cluster.kubectl("rollout", "status", f"{kind}/web", "-n", self.namespace, "--timeout=240s")
        return self.ref("apps/v1", kind, "web")

    def replicas(self) -> int:
        """Return the desired replicas of `web`."""
        count: int = self.cluster.get("deployment", "web", self.namespace)["spec"]["replicas"]
        return count

    def pods(self) -> dict[str, str]:
        """Return the names of the pods that are not terminating, by UID."""
        found = (pod["metadata"] for pod in self.cluster.items("pods", self.namespace))
        return {metadata["uid"]: metadata["name"] for metadata in found if "deletionTimestamp" not in metadata}

    @property
    def end(self) -> tuple[str, str]:
        """Phase and reason."""
        return self.remediation.status.phase, self.remediation.status.reason


@pytest.fixture(scope="session")
def operator(cluster: PooledCluster, root: Path) -> Iterator[Path]:
    """A kubeconfig of the operator's ServiceAccount, with every opt-in permission of the chart."""
    switches = [f"--set={switch}=true" for switch in OPT_INS]
    rules = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}
    extra = f"--set-json=workloads.extraRules={json.dumps([rules])}"
    values = "--set=image.repository=forestall,replicas=0,crds.install=false,admissionPolicies.enabled=false"
    where = ("-n", "forestall-system", "--create-namespace")
    cluster.helm("upgrade", "--install", "forestall", root / "charts" / "forestall", *where, values, *switches, extra)
    yield cluster.kubeconfig_for("forestall-system", "forestall")
    cluster.helm("uninstall", "forestall", "-n", "forestall-system")


@pytest.fixture
def live_as(cluster: PooledCluster, namespace: str) -> Callable[[Path], AbstractAsyncContextManager[Life]]:
    """A function that returns a life in this namespace with the permissions of a kubeconfig."""

    @asynccontextmanager
    async def live(kubeconfig: Path) -> AsyncIterator[Life]:
        async with Api(await Access.find(str(kubeconfig))) as api, Recorder(api, "test") as recorder:
            yield Life(cluster, KubernetesCluster(api, recorder, "forestall-system"), namespace)

    return live


@pytest.fixture
async def guarded(
    cluster: PooledCluster,
    operator: Path,
    namespace: str,
    live_as: Callable[[Path], AbstractAsyncContextManager[Life]],
) -> AsyncIterator[Life]:
    """A life that acts with the permissions of the operator's ServiceAccount, bound in this namespace as its admin
    does.
    """
    subject = "--serviceaccount=forestall-system:forestall"
    role = "--clusterrole=forestall-workloads"
    cluster.kubectl("create", "rolebinding", "forestall-workloads", "-n", namespace, role, subject)
    async with live_as(operator) as life:
        yield life


@pytest.fixture
def node(cluster: PooledCluster) -> Iterator[str]:
    """A node that nobody has cordoned."""
    cluster.kubectl("uncordon", "node-3")
    yield "node-3"
    cluster.kubectl("uncordon", "node-3")
    cluster.kubectl("annotate", "node", "node-3", f"{CORDONED_BY}-")


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Wait until something holds."""

    async def wait(holds: Callable[[], bool], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it did not happen in time"
            await asyncio.sleep(0.2)

    return wait
