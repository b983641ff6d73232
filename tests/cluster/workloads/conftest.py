"""A Remediation that changes workloads with the rights of the operator's ServiceAccount, as the chart makes them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import API_VERSION, Remediation
from forestall.api.remediation import Intent, ObjectRef
from forestall.api.times import stamp
from forestall.demo.kwok import KwokCluster
from forestall.journal import Journal, Outlook
from forestall.ports import Cluster

OPT_INS: Final = ("keda", "rollback", "jobs")
"""The chart's switches for further rights on workloads."""


async def unguarded(_: Remediation) -> None:
    """No guard holds."""


class Life:
    """One Remediation on the cluster. Its clock is the test's: a life of hours passes in seconds."""

    def __init__(self, cluster: KwokCluster, port: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.port = port
        """What the Remediation acts through."""
        self.namespace = namespace
        self.journal = Journal(port)
        self.now = time.time()
        self.remediation: Remediation

    async def open(self, target: ObjectRef, action: Mapping[str, Any], **changes: Any) -> Remediation:
        """Write an intent down; `changes` are other fields of it."""
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
        self.remediation = await self.journal.open(Intent.model_validate({**intent, **changes}))
        return self.remediation

    async def cycle(self, after: float = 10.0, **outlook: Any) -> Remediation:
        """Let `after` s pass, and advance by an outlook whose sample is new: at risk, where `outlook` says no more."""
        self.now += after
        usual: dict[str, Any] = {"fresh": True, "breached": False, "sampled_at": self.now, "probability": 0.9}
        view = Outlook(**{**usual, **outlook})
        self.remediation = await self.journal.advance(self.remediation, view, unguarded, self.now)
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
        uid = self.cluster.get(kind, name, self.namespace)["metadata"]["uid"]
        return ObjectRef(api_version=api_version, kind=kind, namespace=self.namespace, name=name, uid=uid)

    @property
    def end(self) -> tuple[str, str]:
        """Phase and reason."""
        return self.remediation.status.phase, self.remediation.status.reason


@pytest.fixture(scope="session")
def operator(cluster: KwokCluster, root: Path) -> Iterator[Path]:
    """A kubeconfig of the operator's ServiceAccount, with every opt-in right of the chart for workloads."""
    switches = [f"--set=workloads.{switch}=true" for switch in OPT_INS]
    rules = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}
    extra = f"--set-json=workloads.extraRules={json.dumps([rules])}"
    values = "--set=replicas=0,crds.install=false,admissionPolicies.enabled=false"
    where = ("-n", "forestall-system", "--create-namespace")
    cluster.helm("upgrade", "--install", "forestall", root / "charts" / "forestall", *where, values, *switches, extra)
    yield cluster.kubeconfig_for("forestall-system", "forestall")
    cluster.helm("uninstall", "forestall", "-n", "forestall-system")


@pytest.fixture
async def guarded(cluster: KwokCluster, operator: Path, namespace: str) -> AsyncIterator[Life]:
    """A life that acts with the rights of the operator's ServiceAccount, bound in this namespace as its admin does."""
    subject = "--serviceaccount=forestall-system:forestall"
    role = "--clusterrole=forestall-workloads"
    cluster.kubectl("create", "rolebinding", "forestall-workloads", "-n", namespace, role, subject)
    async with Api(await Access.find(str(operator))) as api, Recorder(api, "test") as recorder:
        yield Life(cluster, KubernetesCluster(api, recorder, "forestall-system"), namespace)
