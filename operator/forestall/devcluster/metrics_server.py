"""The real metrics-server, as a process beside the control plane: it tells autoscalers what pods and nodes use.

It asks the kubelets of real nodes; on played ones there is nothing to ask.
"""

from pathlib import Path

from forestall.devcluster.api_service import serve_group
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.ports import free_ports
from forestall.devcluster.programs import Programs

_RESOLUTION = "10s"
"""How often it asks; it takes no shorter time."""
_TIMEOUT = "9s"
"""It takes no longer time than the resolution; a kubelet of a busy machine may need seconds."""


def start_metrics_server(cluster: RealNodes, programs: Programs) -> None:
    """Start it in the cluster's network, and return when the API server serves what it says."""
    (port,) = free_ports(1)
    kubeconfigs = [f"--{prefix}kubeconfig={cluster.kubeconfig}" for prefix in ("", "authentication-", "authorization-")]
    command: list[str | Path] = [
        cluster.workspace.link(programs["metrics-server"]),
        *kubeconfigs,
        f"--cert-dir={cluster.workspace.path / 'metrics-server'}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--kubelet-insecure-tls",
        "--kubelet-preferred-address-types=InternalIP",
        f"--metric-resolution={_RESOLUTION}",
        f"--kubelet-request-timeout={_TIMEOUT}",
    ]
    cluster.workspace.start("metrics-server", cluster.network.inside(command))
    serve_group(cluster, "metrics.k8s.io", "v1beta1", port)
