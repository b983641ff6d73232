"""`forestall undo` of a patch, a cordon and a drain on a real API server; `test_incident` undoes scale-outs.

Kind: people are told that they can undo an action, but tests only cover the automatic reversal.
"""

import os
import subprocess
import sys
from typing import Any

from forestall.actions.node_action import CORDONED_BY

FLAG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"recommendations": "on"}}
PATCH = {
    "target": {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "web"},
    "field": "/data/recommendations",
    "value": "off",
}


def undo(life) -> None:
    """Run `forestall undo` as a cluster admin."""
    command = [sys.executable, "-m", "forestall", "undo", life.remediation.name, "-n", life.namespace]
    there = {**os.environ, **life.cluster.environment, "NO_COLOR": "1"}
    command += ["--comment", "a load test"]
    done = subprocess.run(command, env=there, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def node_of(life, node: str) -> tuple[bool, bool]:
    """Say whether a node is cordoned, and whether it has the operator's annotation."""
    body = life.cluster.get("node", node)
    return bool(body["spec"].get("unschedulable")), CORDONED_BY in body["metadata"].get("annotations", {})


async def reverted(life, **outlook: Any) -> None:
    """Run cycles at risk until the remediation is reverted."""
    await life.until("RolledBack", breached=True, **outlook)
    assert life.end == ("RolledBack", "UndoRequested")
    assert "a load test" in life.remediation.status.message


async def test_undo_of_a_patch(guarded):
    guarded.cluster.apply(FLAG, namespace=guarded.namespace)
    await guarded.open(guarded.ref("v1", "ConfigMap", "web"), {"patch": PATCH})
    await guarded.cycle()
    assert guarded.cluster.get("configmap", "web", guarded.namespace)["data"] == {"recommendations": "off"}
    undo(guarded)
    await reverted(guarded)
    assert guarded.cluster.get("configmap", "web", guarded.namespace)["data"] == FLAG["data"]


async def test_undo_of_a_cordon(guarded, node):
    await guarded.open(guarded.ref("v1", "Node", node), {"cordon": {}})
    await guarded.cycle()
    assert node_of(guarded, node) == (True, True)
    undo(guarded)
    await reverted(guarded)
    assert node_of(guarded, node) == (False, False)


async def test_undo_of_a_drain_under_way(guarded, node):
    """A pod waits for its PodDisruptionBudget; the node is uncordoned, and that pod stays."""
    guarded.run(replicas=1)
    (name,) = guarded.pods().values()
    there = guarded.cluster.get("pod", name, guarded.namespace)["spec"]["nodeName"]
    budget = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1}
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": budget}
    guarded.cluster.apply(body, namespace=guarded.namespace)
    looked = "--for=jsonpath={.status.observedGeneration}=1"
    guarded.cluster.kubectl("wait", looked, "pdb/web", "-n", guarded.namespace, "--timeout=30s")
    await guarded.open(guarded.ref("v1", "Node", there), {"drain": {}})
    try:
        for _ in range(2):
            await guarded.cycle()
        assert guarded.end == ("Executing", "Throttled"), guarded.remediation.status
        undo(guarded)
        await reverted(guarded)
        assert node_of(guarded, there) == (False, False)
        assert list(guarded.pods().values()) == [name]
    finally:
        guarded.cluster.kubectl("uncordon", there)
