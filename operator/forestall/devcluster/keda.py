"""The real KEDA: its operator and its metrics adapter as processes beside the control plane.

The operator keeps HorizontalPodAutoscalers for ScaledObjects, and takes them away while these are paused. The adapter
tells the autoscalers of the load.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from forestall.devcluster.api_service import serve_group
from forestall.devcluster.cluster import RunningCluster
from forestall.devcluster.ports import free_ports
from forestall.devcluster.programs import Programs, sources
from forestall.devcluster.workspace import Workspace
from forestall.errors import MissingTool

NAMESPACE: Final = "keda"
ENVIRONMENT: Final[Mapping[str, str]] = {
    "WATCH_NAMESPACE": "",
    "POD_NAMESPACE": NAMESPACE,
    "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
    "KUBERNETES_CLUSTER_DOMAIN": "cluster.local",
    "KEDA_HTTP_DEFAULT_TIMEOUT": "3000",
}
"""Of its programs."""


def start_operator(
    cluster: RunningCluster,
    workspace: Workspace,
    programs: Programs,
    proofs: Path,
    *,
    prefix: Sequence[str | Path] = (),
) -> int:
    """Define KEDA's objects and start its operator; return the port at which it tells the adapter of metrics.

    `proofs` is a folder as `certificates` makes it. `prefix` starts a program in the network of the API server, where
    that is another one.
    """
    cluster.kubectl("apply", "--server-side", "-f", definitions(), timeout_s=120)
    cluster.kubectl("wait", "--for=condition=Established", "-f", definitions(), "--timeout=240s", timeout_s=300)
    cluster.kubectl("create", "namespace", NAMESPACE)
    service, health, metrics = free_ports(3)
    command: list[str | Path] = [
        *prefix,
        workspace.link(programs["keda-operator"]),
        f"--kubeconfig={cluster.kubeconfig}",
        f"--cert-dir={proofs}",
        f"--metrics-bind-address=127.0.0.1:{metrics}",
        f"--health-probe-bind-address=127.0.0.1:{health}",
        f"--metrics-service-bind-address=127.0.0.1:{service}",
        "--enable-webhook-patching=false",
        "--enable-apiservice-patching=false",
    ]
    workspace.start("keda-operator", command, env=ENVIRONMENT)
    return service


def start_adapter(
    cluster: RunningCluster,
    workspace: Workspace,
    programs: Programs,
    proofs: Path,
    service: int,
    *,
    prefix: Sequence[str | Path] = (),
) -> None:
    """Start the adapter beside an operator at the port `service`; return when autoscalers can ask it for metrics."""
    secure, adapter = free_ports(2)
    kubeconfigs = ("", "lister-", "authentication-", "authorization-")
    command: list[str | Path] = [
        *prefix,
        workspace.link(programs["keda-adapter"]),
        *(f"--{kind}kubeconfig={cluster.kubeconfig}" for kind in kubeconfigs),
        f"--cert-dir={proofs}",
        f"--metrics-service-address=localhost:{service}",
        f"--secure-port={secure}",
        f"--port={adapter}",
        "--bind-address=127.0.0.1",
    ]
    workspace.start("keda-adapter", command, env=ENVIRONMENT)
    serve_group(cluster, "external.metrics.k8s.io", "v1beta1", secure)


def definitions() -> Path:
    """Return the folder with the definitions of KEDA's objects."""
    return sources("keda") / "config" / "crd" / "bases"


def certificates(folder: Path) -> Path:
    """Write into `folder` what KEDA's programs prove to each other who they are with; it is made where it is missing.

    These are `ca.crt`, and `tls.crt` and `tls.key` for localhost. Raises MissingTool without the package trustme, which
    the extra `dev` brings.
    """
    try:
        import trustme  # noqa: PLC0415 -- an extra that only this needs
    except ImportError as error:
        raise MissingTool("KEDA's certificates need trustme: pip install 'forestall[dev]'") from error
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    own = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    own.private_key_pem.write_to_path(str(folder / "tls.key"))
    (folder / "tls.crt").write_bytes(b"".join(pem.bytes() for pem in own.cert_chain_pems))
    return folder
