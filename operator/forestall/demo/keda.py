"""The real KEDA: its operator as a process beside the control plane.

It keeps HorizontalPodAutoscalers for ScaledObjects, and takes them away while these are paused. What the autoscalers
are told of the load is another program's, the adapter's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from forestall.demo.cluster import RunningCluster
from forestall.demo.ports import free_ports
from forestall.demo.programs import Programs, sources
from forestall.demo.workspace import Workspace

NAMESPACE: Final = "keda"
ENVIRONMENT: Final[Mapping[str, str]] = {
    "WATCH_NAMESPACE": "",
    "POD_NAMESPACE": NAMESPACE,
    "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
    "KUBERNETES_CLUSTER_DOMAIN": "cluster.local",
    "KEDA_HTTP_DEFAULT_TIMEOUT": "3000",
}
"""Of its programs."""


def start_operator(cluster: RunningCluster, workspace: Workspace, programs: Programs, certificates: Path) -> int:
    """Define KEDA's objects and start its operator; return the port at which it tells the adapter of metrics.

    `certificates` is a folder with `ca.crt`, and `tls.crt` and `tls.key` for localhost.
    """
    cluster.kubectl("apply", "--server-side", "-f", definitions(), timeout_s=120)
    cluster.kubectl("wait", "--for=condition=Established", "-f", definitions(), "--timeout=60s", timeout_s=70)
    cluster.kubectl("create", "namespace", NAMESPACE)
    service, health, metrics = free_ports(3)
    command: list[str | Path] = [
        workspace.link(programs["keda-operator"]),
        f"--kubeconfig={cluster.kubeconfig}",
        f"--cert-dir={certificates}",
        f"--metrics-bind-address=127.0.0.1:{metrics}",
        f"--health-probe-bind-address=127.0.0.1:{health}",
        f"--metrics-service-bind-address=127.0.0.1:{service}",
        "--enable-webhook-patching=false",
        "--enable-apiservice-patching=false",
    ]
    workspace.start("keda-operator", command, env=ENVIRONMENT)
    return service


def definitions() -> Path:
    """Return the folder with the definitions of KEDA's objects."""
    return sources("keda") / "config" / "crd" / "bases"
