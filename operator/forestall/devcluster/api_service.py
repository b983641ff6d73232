"""Serving a group of the API from a process beside the API server, as metrics adapters do from a pod."""

from typing import Any

from forestall.devcluster.cluster import RunningCluster

_NAMESPACE = "kube-system"
_AVAILABLE_S = 120


def serve_group(cluster: RunningCluster, group: str, version: str, port: int) -> None:
    """Have the API server ask a local port for a group of the API, and return when it is served.

    The way leads over a Service that stands for localhost. Raises CommandFailed when nothing serves the group.
    """
    cluster.apply(*_objects(group, version, port), namespace=_NAMESPACE)
    name = f"apiservice/{version}.{group}"
    cluster.kubectl("wait", "--for=condition=Available", name, f"--timeout={_AVAILABLE_S}s")


def _objects(group: str, version: str, port: int) -> tuple[dict[str, Any], dict[str, Any]]:
    name = group.replace(".", "-")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": _NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
    }
    api_service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.{group}"},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": name, "namespace": _NAMESPACE, "port": port},
        },
    }
    return service, api_service
