"""What real nodes give that played ones do not: processes, a network, logs, limits that the kernel holds."""

import json
from typing import Any

import pytest
import requests
from tests.support.waiting import until

from forestall.devcluster.nodes import RealNodes

IMAGE = "forestall.test/busybox:1"


def pod(name: str, node: str, *command: str, **container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": IMAGE, "args": list(command), **container}],
        },
    }


def server(name: str, node: str) -> dict[str, Any]:
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    return pod(name, node, "httpd", "-f", "-p", "8080", "-h", "/bin", readinessProbe=probe)


def run_in(nodes: RealNodes, namespace: str, pod: str, *command: str) -> str:
    return nodes.kubectl("exec", "-n", namespace, pod, "--", "/bin/busybox", *command).stdout


@pytest.fixture
def servers(nodes: RealNodes, namespace: str) -> RealNodes:
    """The cluster, with a pod called ``on-NODE`` on each node that answers on port 8080."""
    nodes.apply(*(server(f"on-{node.name}", node.name) for node in nodes.nodes), namespace=namespace)
    names = [f"pod/on-{node.name}" for node in nodes.nodes]
    nodes.kubectl("wait", "--for=condition=Ready", *names, "-n", namespace, "--timeout=120s")
    return nodes


def test_pods_run_on_every_node_and_reach_the_api_by_name_and_address(servers, namespace):
    for node in servers.nodes:
        answer = run_in(servers, namespace, f"on-{node.name}", "nslookup", "kubernetes.default.svc.cluster.local")
        assert "10.0.0.1" in answer.split("Name:", 1)[1]
        run_in(servers, namespace, f"on-{node.name}", "nc", "-w", "5", "kubernetes.default.svc.cluster.local", "443")
        run_in(servers, namespace, f"on-{node.name}", "nc", "-w", "5", "10.0.0.1", "443")


def test_a_service_leads_to_a_pod_on_another_node(servers, namespace):
    servers.kubectl("expose", "pod", "on-node-2", "-n", namespace, "--port=80", "--target-port=8080", "--name=far")
    until(lambda: bool(servers.get("endpoints", "far", namespace).get("subsets")))

    def size() -> str:
        found = servers.kubectl(
            "exec", "-n", namespace, "on-node-1", "--", "/bin/sh", "-c",
            "/bin/busybox wget -q -O - http://far/busybox | /bin/busybox wc -c",
        )  # fmt: skip
        return str(found.stdout.strip())

    until(lambda: size() not in ("", "0"))


def test_the_kernel_kills_what_takes_more_memory_than_its_limit(nodes, namespace):
    greedy = "dd if=/dev/zero of=/dev/null bs=256M count=1"
    limits = {"limits": {"memory": "32Mi"}}
    nodes.apply(pod("greedy", "node-1", *greedy.split(), resources=limits), namespace=namespace)

    def reason() -> str:
        statuses = nodes.get("pod", "greedy", namespace)["status"].get("containerStatuses", [])
        states = [status[key] for status in statuses for key in ("state", "lastState")]
        return json.dumps([state.get("terminated", {}).get("reason") for state in states])

    until(lambda: "OOMKilled" in reason())


def test_prometheus_reads_from_the_kubelets_what_a_pod_uses_and_is_reached_by_pods(servers, prometheus, namespace):
    def pods(metric: str) -> set[str]:
        query = {"query": f'{metric}{{namespace="{namespace}",pod!=""}}'}
        answer = requests.get(f"{prometheus.url}/api/v1/query", params=query, timeout=30).json()
        return {series["metric"]["pod"] for series in answer["data"]["result"]}

    until(lambda: pods("container_memory_working_set_bytes") == {"on-node-1", "on-node-2"})
    until(lambda: pods("pod_memory_working_set_bytes") == {"on-node-1", "on-node-2"})
    health = f"{prometheus.pod_url}/-/healthy"
    assert "Healthy" in run_in(servers, namespace, "on-node-1", "wget", "-q", "-O", "-", health)


def test_a_node_whose_kubelet_stops_is_not_ready_and_comes_back(nodes):
    second = nodes.nodes[1]
    second.stop("kubelet")
    try:
        nodes.kubectl("wait", "--for=condition=Ready=unknown", "node/node-2", "--timeout=120s", timeout_s=130)
    finally:
        second.start_kubelet()
    nodes.kubectl("wait", "--for=condition=Ready=true", "node/node-2", "--timeout=120s", timeout_s=130)
