"""CoreDNS as the cluster's DNS: a process in the cluster's network, behind the Service that pods ask."""

from pathlib import Path
from typing import Any, Final

from forestall.devcluster.node_network import ADDRESS, DNS_SERVICE

_COREFILE: Final = """.:53 {{
    errors
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
    }}
    cache 5
}}
"""
_PORTS: Final = (("dns", "UDP", 53), ("dns-tcp", "TCP", 53))


def write_corefile(folder: Path, kubeconfig: Path) -> Path:
    """Write CoreDNS's configuration, and return where it is."""
    path = folder / "Corefile"
    path.write_text(_COREFILE.format(kubeconfig=kubeconfig))
    return path


def dns_objects() -> list[dict[str, Any]]:
    """Return the Service kube-dns, and the endpoint that no controller makes for it."""
    name = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [{"name": name, "protocol": protocol, "port": port} for name, protocol, port in _PORTS]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**name, "labels": {"k8s-app": "kube-dns"}},
            "spec": {"clusterIP": DNS_SERVICE, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**name, "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
            "ports": ports,
        },
    ]
