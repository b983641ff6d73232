"""Concurrent writers of the fields that the operator writes.

A user and a GitOps controller (by server-side apply) set the field that a Remediation raises, once at a random time
during it; or a new HorizontalPodAutoscaler and its controller set the replicas. From then on the field is theirs: a
later change by the operator is an overwrite.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import uuid4

from benchmarks.safety.crashes import SPEED, ForkServer, Round
from benchmarks.safety.environment import ACCOUNT, API, OPERATOR, Body, SafetyEnvironment, until
from benchmarks.safety.trials import TRIALS, Trial, autoscaler
from benchmarks.safety.watch_recorder import WatchRecorder

from forestall.actions.ownership import taken_over
from forestall.adapters.kubernetes import Access, Api
from forestall.api import Remediation
from forestall.errors import ClusterError

LONGEST_S = 8.0
"""Time after the start within which the others write (s): most of a Remediation on the faster clock."""
MORE = 7
CONTROLLER_S = 60.0
"""The controller handles a new autoscaler within 15 s."""
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_PATHS = {
    "scale": ("apps/v1", "Deployment", "deployments", "replicas"),
    "scale-floor": ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "minReplicas"),
}


class OtherWriters:
    """A user, a GitOps controller and an autoscaler."""

    def __init__(self, api: Api, trial: Trial, namespace: str, dice: random.Random) -> None:
        self._api = api
        self._path = _PATHS[trial.name]
        self._namespace = namespace
        self._dice = dice
        self.written: dict[str, int] = {}
        """The resource version of the other write, by object name."""
        self.without_trace = 0
        """Updates without a change: the API server keeps no trace of them."""

    async def user(self, name: str) -> None:
        """Set the field, as `kubectl edit` does."""
        body = {"spec": {self._path[3]: self._dice.choice((2, 4, 7))}}
        await self._patch(name, body, _MERGE, {"fieldManager": "kubectl-edit"})

    async def git_ops(self, name: str) -> None:
        """Apply the field, as Flux does."""
        version, kind, _, field = self._path
        head = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": self._namespace}}
        await self._patch(name, head | {"spec": {field: 3}}, _APPLY, {"fieldManager": "flux", "force": "true"})

    async def autoscaler(self, name: str) -> None:
        """Create an autoscaler that sets more replicas than the operator, and wait for its change."""
        await asyncio.sleep(self._dice.uniform(0, LONGEST_S))
        body = autoscaler(name)
        body["spec"]["minReplicas"] = MORE
        version, _, plural, _ = _PATHS["scale-floor"]
        await self._api.request("POST", f"/apis/{version}/namespaces/{self._namespace}/{plural}", body=body)
        await until(partial(self._scaled, name), CONTROLLER_S, f"the autoscaler of {name} acts")

    async def _scaled(self, name: str) -> bool:
        deployment = await self._api.request("GET", f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{name}")
        if deployment["spec"]["replicas"] == MORE and taken_over(deployment, ("spec", "replicas")):
            self.written[name] = int(deployment["metadata"]["resourceVersion"])
        return name in self.written

    async def _patch(self, name: str, body: Body, content_type: str, query: dict[str, str]) -> None:
        await asyncio.sleep(self._dice.uniform(0, LONGEST_S))
        version, _, plural, _ = self._path
        path = f"/apis/{version}/namespaces/{self._namespace}/{plural}/{name}"
        try:
            result = await self._api.request("PATCH", path, body=body, content_type=content_type, query=query)
        except ClusterError as error:
            raise RuntimeError(f"the other writer was refused: {error}") from error
        if content_type == _MERGE and not taken_over(result, ("spec", self._path[3])):
            self.without_trace += 1
        else:
            self.written[name] = int(result["metadata"]["resourceVersion"])


async def _against(environment: SafetyEnvironment, trial: Trial, wanted: int, seed: int) -> dict[str, Any]:
    """Run `wanted` Remediations with concurrent writes."""
    dice, namespace = random.Random(seed), f"{trial.name}-{uuid4().hex[:6]}"
    await asyncio.to_thread(environment.cluster.kubectl, "create", "namespace", namespace)
    targets = await asyncio.to_thread(trial.targets, environment.cluster, namespace, wanted)
    kubeconfig = await asyncio.to_thread(environment.cluster.kubeconfig_for, OPERATOR, ACCOUNT)
    access = await Access.find(str(environment.cluster.kubeconfig))
    remediations = f"/apis/{API}/namespaces/{namespace}/remediations"
    watching = WatchRecorder(access, trial.path(namespace), remediations).watching()
    async with watching as recorder, ForkServer(namespace) as forks, Api(access) as api:
        writers = OtherWriters(api, trial, namespace, dice)
        writes: list[Callable[[str], Awaitable[None]]] = [writers.user, writers.git_ops]
        if trial.name == "scale":
            writes.append(writers.autoscaler)
        round_ = Round(trial, namespace, targets, 1, time.time())
        moods = {target.ref["name"]: dice.choice(("calms", "calms", "lasts")) for target in targets}
        leading = forks.run(kubeconfig, round_, moods)
        writing = (dice.choice(writes)(target.ref["name"]) for target in targets)
        await asyncio.gather(leading, *writing)
        await recorder.settle()
    await asyncio.to_thread(environment.cluster.kubectl, "delete", "namespace", namespace, "--wait=false")
    field = _PATHS[trial.name][3]
    overwritten = [
        name for name, at in writers.written.items() if _changed_after(recorder, trial, namespace, name, at, field)
    ]
    lives = [Remediation.read(states[-1]) for key, states in recorder.states.items() if key.startswith("Remediation/")]
    return {
        "writes": len(writers.written),
        "updatesToTheSameValue": writers.without_trace,
        "overwrites": len(overwritten),
        "ends": dict(Counter(f"{life.status.phase}: {life.status.reason}" for life in lives)),
    }


def _changed_after(recorder: WatchRecorder, trial: Trial, namespace: str, name: str, at: int, field: str) -> bool:
    states = recorder.states[f"{trial.watched}/{namespace}/{name}"]
    levels = {body["spec"][field] for body in states if int(body["metadata"]["resourceVersion"]) >= at}
    return len(levels) > 1


async def measure(environment: SafetyEnvironment, *, quick: bool) -> dict[str, Any]:
    """Run Remediations with concurrent writes."""
    wanted = 6 if quick else 75
    results = {name: await _against(environment, TRIALS[name], wanted, seed) for seed, name in enumerate(_PATHS)}
    return {"clockSpeed": SPEED, **results, "holds": not any(result["overwrites"] for result in results.values())}
