"""Nodes and pods that KWOK plays, as ``stages.yaml`` tells it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from forestall.devcluster.cluster import RunningCluster
from forestall.devcluster.workspace import Workspace

_MARK: Final = {"kwok.x-k8s.io/node": "fake"}
"""The annotation of the nodes that KWOK plays. Other nodes of the cluster, and the pods on them, are left alone."""
_LEASE_S: Final = 200
_STAGE_KIND = Path(__file__).with_name("stage-crd.yaml")
_STAGES = Path(__file__).with_name("stages.yaml")
_NODE_SIZE = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110"}
_ZONES = "abc"


class KwokCluster(RunningCluster):
    """A cluster whose nodes and pods KWOK plays."""

    def play(self, workspace: Workspace) -> None:
        """Have KWOK, a process in `workspace`, play nodes and pods; before this they do nothing."""
        self.kubectl("apply", "--server-side", "-f", _STAGE_KIND)
        self.kubectl("wait", "--for=condition=Established", "crd/stages.kwok.x-k8s.io", "--timeout=30s")
        self.kubectl("apply", "--server-side", "-f", _STAGES)
        marked = ",".join(f"{key}={value}" for key, value in _MARK.items())
        command: list[str | Path] = [
            workspace.link(self._programs["kwok"]),
            "--kubeconfig",
            self.kubeconfig,
            "--enable-crds",
            "Stage",
        ]
        command += ["--manage-nodes-with-annotation-selector", marked, "--node-lease-duration-seconds", str(_LEASE_S)]
        workspace.start("kwok", command)

    def scale_nodes(self, count: int) -> None:
        """Add or remove nodes called ``node-1``, ``node-2`` and so on; others are left alone."""
        node_names = self.kubectl("get", "nodes", "-o", "name").stdout.split()
        existing = {name.removeprefix("node/") for name in node_names if name.startswith("node/node-")}
        wanted = {f"node-{number}": _node(number) for number in range(1, count + 1)}
        if surplus := sorted(existing - wanted.keys()):
            self.kubectl("delete", "node", *surplus)
        if missing := [node for name, node in wanted.items() if name not in existing]:
            self.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": missing}))
            names = [f"node/{node['metadata']['name']}" for node in missing]
            self.kubectl("wait", "--for=condition=Ready", *names, "--timeout=60s", timeout_s=70)

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
            "annotations": _MARK,
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
