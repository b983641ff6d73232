"""How the kubelet and kube-proxy of a real node are set up: configuration, certificates, arguments."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from forestall.devcluster.containerd import SOCKET
from forestall.devcluster.node_network import DNS_SERVICE, PODS
from forestall.devcluster.processes import run

KUBELET_KUBECONFIG: Final = "etc/kubernetes/kubelet.kubeconfig"
PROXY_KUBECONFIG: Final = "etc/kubernetes/kube-proxy.kubeconfig"
_CONFIGURATION: Final = "etc/kubernetes/kubelet.json"
_DAYS: Final = "30"
_KUBELET: Final[dict[str, Any]] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "failCgroupV1": False,
    "cgroupDriver": "cgroupfs",
    "failSwapOn": False,
    "oomScoreAdj": 0,  # without CAP_SYS_RESOURCE it can't be lowered
    "containerRuntimeEndpoint": f"unix://{SOCKET}",
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "clusterDomain": "cluster.local",
    "clusterDNS": [DNS_SERVICE],
    "resolvConf": "/etc/resolv.conf",
    "evictionHard": {
        "memory.available": "100Mi",
        "nodefs.available": "10%",
        "imagefs.available": "10%",
        "nodefs.inodesFree": "5%",
    },
    "evictionPressureTransitionPeriod": "10s",
    "imageGCHighThresholdPercent": 100,  # what was imported can't be fetched again
    "nodeStatusUpdateFrequency": "2s",
    "nodeStatusReportFrequency": "10s",
    "nodeLeaseDurationSeconds": 8,  # renewed four times as often: so a node that is gone is noticed in seconds
    "syncFrequency": "5s",
    "volumeStatsAggPeriod": "10s",
}


def kubelet_files() -> dict[str, str]:
    """Return the kubelet's files, by path in the node's root."""
    return {_CONFIGURATION: json.dumps(_KUBELET), "etc/resolv.conf": f"nameserver {DNS_SERVICE}\n"}


def kubelet_command(name: str, address: str, housekeeping: str) -> list[str]:
    """Return how the kubelet of a node is run; cAdvisor measures every `housekeeping` (``10s``)."""
    return [
        "kubelet",
        f"--config=/{_CONFIGURATION}",
        f"--kubeconfig=/{KUBELET_KUBECONFIG}",
        f"--hostname-override={name}",
        f"--node-ip={address}",
        f"--housekeeping-interval={housekeeping}",
    ]


def proxy_command(name: str) -> list[str]:
    """Return how kube-proxy is run: with settings that leave the machine's own limits alone."""
    return [
        "kube-proxy",
        f"--kubeconfig=/{PROXY_KUBECONFIG}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={PODS}",
        f"--hostname-override={name}",
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
    ]


def kubeconfig(folder: Path, server: str, authority: Path, user: str, groups: Sequence[str] = ()) -> str:
    """Return a kubeconfig whose user has a certificate signed by the control plane's authority.

    `authority` is the folder with ``ca.crt`` and ``ca.key``; what is made on the way stays in `folder`. Raises
    CommandFailed when openssl does.
    """
    name = user.replace(":", "-")
    key, request, certificate = (folder / f"{name}.{ending}" for ending in ("key", "csr", "crt"))
    subject = "".join(f"/{field}={value}" for field, value in (*(("O", group) for group in groups), ("CN", user)))
    run(
        ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", subject],
    )
    signed_by: list[str | Path] = ["-CA", authority / "ca.crt", "-CAkey", authority / "ca.key", "-CAcreateserial"]
    serial: list[str | Path] = ["-CAserial", folder / f"{name}.serial"]
    run(["openssl", "x509", "-req", "-in", request, *signed_by, *serial, "-days", _DAYS, "-out", certificate])
    cluster = {"server": server, "certificate-authority-data": _encoded(authority / "ca.crt")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [
            {"name": user, "user": {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}}
        ],
        "contexts": [{"name": user, "context": {"cluster": "cluster", "user": user}}],
        "current-context": user,
    }
    return json.dumps(config)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
