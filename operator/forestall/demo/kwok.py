"""Nodes and pods that KWOK plays, as ``stages.yaml`` tells it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forestall.demo.cluster import RunningCluster

_STAGES = Path(__file__).with_name("stages.yaml")
_NODE_SIZE = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110"}
_ZONES = "abc"


class KwokCluster(RunningCluster):
    """A cluster whose nodes and pods KWOK plays."""

    def play(self) -> None:
        """Teach KWOK how nodes and pods come and go; before this they do nothing."""
        self.kubectl("wait", "--for=condition=Established", "crd/stages.kwok.x-k8s.io", "--timeout=30s")
        self.kubectl("apply", "--server-side", "-f", _STAGES)

    def scale_nodes(self, count: int) -> None:
        """Add or remove nodes called ``node-1``, ``node-2`` and so on; others are left alone."""
        names = self.kubectl("get", "nodes", "-o", "name").stdout.split()
        there = {name.removeprefix("node/") for name in names if name.startswith("node/node-")}
        wanted = {f"node-{number}": _node(number) for number in range(1, count + 1)}
        if surplus := sorted(there - wanted.keys()):
            self.kubectl("delete", "node", *surplus)
        if missing := [node for name, node in wanted.items() if name not in there]:
            self.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": missing}))
            self.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s", timeout_s=70)

    def set_start_up(self, seconds: float) -> None:
        """Change the delay of the stage pod-ready."""
        change = {"spec": {"delay": {"durationMilliseconds": round(seconds * 1000)}}}
        self.kubectl("patch", "stage", "pod-ready", "--type=merge", "-p", json.dumps(change))


def _node(number: int) -> Mapping[str, Any]:
    name = f"node-{number}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": f"zone-{_ZONES[(number - 1) % len(_ZONES)]}",
            },
        },
        "status": {
            "capacity": _NODE_SIZE,
            "allocatable": _NODE_SIZE,
            "addresses": [
                {"type": "InternalIP", "address": f"10.64.{number // 250}.{number % 250 + 1}"},
                {"type": "Hostname", "address": name},
            ],
        },
    }
