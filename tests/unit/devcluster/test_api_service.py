"""How the API server is told that a process beside it serves a group."""

from typing import Any

from forestall.devcluster.api_service import serve_group


class Recorder:
    """A cluster that keeps what is applied, and what kubectl is asked."""

    def __init__(self) -> None:
        self.applied: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[tuple[str, ...]] = []

    def apply(self, *objects: dict[str, Any], namespace: str = "default") -> None:
        self.applied += [(namespace, body) for body in objects]

    def kubectl(self, *arguments: str) -> None:
        self.asked.append(arguments)


def test_a_group_leads_over_a_service_to_the_port_and_is_waited_for():
    cluster = Recorder()
    serve_group(cluster, "metrics.k8s.io", "v1beta1", 4443)  # type: ignore[arg-type]
    (namespace, service), (_, api_service) = cluster.applied
    assert service["metadata"]["namespace"] == namespace, "kubectl refuses what is of another namespace"
    assert service["spec"]["externalName"] == "localhost"
    assert service["spec"]["ports"] == [{"port": 4443}]
    assert api_service["metadata"]["name"] == "v1beta1.metrics.k8s.io"
    reference = {"name": service["metadata"]["name"], "namespace": namespace, "port": 4443}
    assert api_service["spec"]["service"] == reference
    assert cluster.asked[0][:3] == ("wait", "--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io")
