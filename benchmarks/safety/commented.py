"""Users patch a Remediation as fast as they can. Is its cordoned node uncordoned at the deadline?

The operator is the whole process; four loops patch the feedback of its only Remediation until the node is uncordoned.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.safety.environment import ACCOUNT, OPERATOR, Body, SafetyEnvironment, Signals, until
from benchmarks.safety.leaders import objective
from benchmarks.safety.trials import deployment, mark

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api.remediation import ObjectRef
from forestall.api.times import seconds
from forestall.errors import ClusterError

_NAMESPACE = "commented"
WRITERS = 4
LATE_S = 60.0
_POLICY: Body = {"mode": "Auto", "deadline": "30s", "actions": [{"cordon": {"healthyFor": "10m"}}]}


async def measure(environment: SafetyEnvironment, *, quick: bool) -> dict[str, Any]:
    """Cordon a node and patch the feedback; the benchmark is small and has no quick size."""
    del quick
    access = await Access.find(str(environment.cluster.kubeconfig))
    async with AsyncExitStack() as stack:
        stack.enter_context(environment.namespace(_NAMESPACE))
        signals = stack.enter_context(Signals(environment).live())
        api = await stack.enter_async_context(Api(access))
        port = KubernetesCluster(api, Recorder(api, "bench"), "default")
        node = (await port.find("v1", "Node"))[0]["metadata"]["name"]
        await asyncio.to_thread(_prepare, environment, signals, node)
        account = await asyncio.to_thread(environment.cluster.kubeconfig_for, OPERATOR, ACCOUNT)
        operator = environment.operate("commented", account, "5s")
        try:
            await until(lambda: _is_cordoned(port, node), 120, "the node is cordoned")
            life = (await port.find("forestall.dev/v1alpha1", "Remediation", namespace=_NAMESPACE))[0]
            deadline = seconds(life["spec"]["intent"]["deadline"]) or 0.0
            written: list[float] = []
            user = await asyncio.to_thread(_user, environment)
            async with asyncio.TaskGroup() as tasks:
                writers = [tasks.create_task(_comment(port, life, user, written)) for _ in range(WRITERS)]
                await until(lambda: _is_free(port, node), 240, "the node is given back")
                late = time.time() - deadline
                for writer in writers:
                    writer.cancel()
        finally:
            await asyncio.to_thread(operator.stop)
            await asyncio.to_thread(environment.cluster.kubectl, "delete", "guardrail", "cordons", "--ignore-not-found")
    return {
        "patches": len(written),
        "patchesPerS": round(len(written) / max(1.0, written[-1] - written[0]), 1),
        "givenBackAfterTheDeadlineS": round(late, 1),
        "holds": late <= LATE_S and len(written) > WRITERS,
    }


def _prepare(environment: SafetyEnvironment, signals: Signals, node: str) -> None:
    signals.set("load", "disk", 300.0, namespace=_NAMESPACE, node=node)
    signals.set("errors", "disk", 0.0, namespace=_NAMESPACE)
    source = {"url": signals.url, "enforceLabel": "namespace", "trustedLabels": ["node"]}
    environment.apply("MetricSource", "default", source)
    allow = [{"namespaces": {}, "actions": ["Cordon"]}]
    environment.apply("Guardrail", "cordons", {"allow": allow, "nodes": {"maxCordoned": 1}})
    environment.cluster.apply(deployment("disk", 1), namespace=_NAMESPACE)
    environment.apply("RemediationPolicy", "cordon", _POLICY, _NAMESPACE)
    spec = objective("disk")
    spec["leadingIndicators"][0]["per"] = "node"
    environment.apply("ServiceLevelObjective", "disk", spec, _NAMESPACE)


def _user(environment: SafetyEnvironment) -> str:
    output = environment.cluster.kubectl("auth", "whoami", "-o", "json").stdout
    return str(json.loads(output)["status"]["userInfo"]["username"])


async def _comment(port: KubernetesCluster, life: Any, user: str, written: list[float]) -> None:
    metadata = life["metadata"]
    ref = ObjectRef(
        api_version=life["apiVersion"],
        kind="Remediation",
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
    )
    while True:
        feedback = {"verdict": "Unhelpful", "by": user, "comment": str(len(written))}
        try:
            await port.patch(ref, {"spec": {"feedback": feedback}}, "")
        except ClusterError:  # the API server is busy with the others
            await asyncio.sleep(0.01)
        else:
            written.append(time.time())


async def _node(port: KubernetesCluster, name: str) -> Any:
    return await port.read(ObjectRef(api_version="v1", kind="Node", namespace="", name=name, uid=""))


async def _is_cordoned(port: KubernetesCluster, name: str) -> bool:
    unschedulable, owner = mark(await _node(port, name))
    return unschedulable and bool(owner)


async def _is_free(port: KubernetesCluster, name: str) -> bool:
    return not mark(await _node(port, name))[0]
