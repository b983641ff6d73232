"""NetworkPolicies that are enforced on real nodes: kube-router's controller for them, a process on each node.

The bridge plugin that gives pods their network enforces none. The controller needs ipset and iptables.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from forestall.devcluster.kubelet import kubeconfig
from forestall.devcluster.node import Node
from forestall.devcluster.node_network import ADDRESS, SERVICES
from forestall.devcluster.node_packages import unpacked
from forestall.devcluster.nodes import RealNodes

PROGRAM: Final = "network-policy"
_KUBECONFIG: Final = "etc/kubernetes/network-policy.kubeconfig"


@contextmanager
def enforced_policies(cluster: RealNodes, program: Path) -> Iterator[None]:
    """Enforce the cluster's NetworkPolicies while the body runs; `program` is the one called `PROGRAM`.

    Delete the policies within the body: rules that are there at its end stay. Raises MissingTool without ipset.
    """
    packages = unpacked(["ipset"])
    for node in cluster.nodes:
        _start(cluster, node, program, packages)
    try:
        yield
    finally:
        for node in cluster.nodes:
            node.stop(PROGRAM)


def _start(cluster: RealNodes, node: Node, program: Path, packages: Path) -> None:
    node.install(program, packages)
    folder = cluster.workspace.path / "nodes" / node.name
    server = f"https://{ADDRESS}:{cluster.api_port}"
    node.write(_KUBECONFIG, kubeconfig(folder, server, cluster.authority, PROGRAM, ["system:masters"]))
    node.start(PROGRAM, [PROGRAM, f"--kubeconfig=/{_KUBECONFIG}", f"--node={node.name}", f"--services={SERVICES}"])
