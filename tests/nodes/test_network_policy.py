"""The chart's NetworkPolicy, enforced: the operator works, who may read its metrics does, and nothing else passes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.operator_pods import OPERATOR_NAMESPACE, all_ready, operator_pods, roll_out
from tests.support.scaling import HIGH, Load
from tests.support.waiting import until

from forestall.devcluster.network_policy import PROGRAM, enforced_policies
from forestall.devcluster.node_network import ADDRESS
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.programs import find_programs
from forestall.devcluster.prometheus import PrometheusServer

LONG = "FORESTALL_LONG"
pytestmark = pytest.mark.skipif(
    not os.environ.get(LONG),
    reason=f"what enforces NetworkPolicies takes two CPU minutes to build: `make nodes` does, by {LONG}=1",
)

IMAGE = "forestall.test/busybox:1"
CONNECT = """
import json, socket, sys
def answers(address):
    try:
        socket.create_connection(address, 5).close()
    except OSError:
        return False
    return True
print(json.dumps([answers(tuple(address)) for address in json.loads(sys.argv[1])]))
"""


def to(address: str, *ports: int, protocols: tuple[str, ...] = ("TCP",)) -> dict[str, Any]:
    """Return an egress rule to an address."""
    return {
        "to": [{"ipBlock": {"cidr": f"{address}/32"}}],
        "ports": [{"port": port, "protocol": protocol} for port in ports for protocol in protocols],
    }


def values(cluster: RealNodes, metrics: str, scraper: str) -> dict[str, Any]:
    """Return the values that docs/install.md describes: DNS, the API server behind its Service, the metric source."""
    port = urlsplit(metrics).port
    assert port
    rules = [to(ADDRESS, 53, protocols=("UDP", "TCP")), to(ADDRESS, cluster.api_port), to(ADDRESS, port)]
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scraper}}}
    return {"networkPolicy": {"enabled": True, "from": [peer], "egress": rules}}


def client(node: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": node},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": IMAGE, "args": ["sleep", "3600"]}],
        },
    }


@pytest.fixture
def strangers(operator: RealNodes) -> Iterator[str]:
    """Another namespace, whose pods are not let in."""
    operator.kubectl("create", "namespace", "strangers")
    operator.kubectl("wait", "--for=create", "serviceaccount/default", "-n", "strangers", "--timeout=180s")
    yield "strangers"
    operator.kubectl("delete", "namespace", "strangers", "--wait=false")


@pytest.fixture
def guarded(
    operator: RealNodes, prometheus: PrometheusServer, namespace: str, strangers: str, root: Path, tmp_path: Path
) -> Iterator[RealNodes]:
    """The cluster with the chart's NetworkPolicy in force, and with a pod on each node, in each namespace."""
    for name in (namespace, strangers):
        operator.apply(*(client(node.name) for node in operator.nodes), namespace=name)
        operator.kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", name, "--timeout=180s")
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values(operator, prometheus.pod_url, namespace)))
    chart = root / "charts" / "forestall"
    with enforced_policies(operator, find_programs([PROGRAM])[PROGRAM]):
        options = ("-n", OPERATOR_NAMESPACE, "--reuse-values", f"--values={file}")
        operator.helm("upgrade", "forestall", chart, *options)
        try:
            operator.kubectl("rollout", "restart", "deployment/forestall", "-n", OPERATOR_NAMESPACE)
            roll_out(operator)
            yield operator
        finally:
            operator.helm("rollback", "forestall", "-n", OPERATOR_NAMESPACE)
            until(lambda: not any(policy_rules(operator)))


def policy_rules(cluster: RealNodes) -> list[bool]:
    """Say of each node whether it has rules for the operator's NetworkPolicy."""
    tables = [node.run("iptables-save", "--table", "filter") for node in cluster.nodes]
    return ["nw policy forestall" in table for table in tables]


def reads_metrics(cluster: RealNodes, namespace: str, node: str, address: str) -> bool:
    wget = f"/bin/busybox timeout 5 /bin/busybox wget -q -O - http://{address}:8080/metrics"
    command = ("exec", "-n", namespace, node, "--", *wget.split())
    return "forestall_leader" in cluster.kubectl(*command, check=False).stdout


def test_the_operator_works_behind_its_network_policy_and_nothing_else_passes(
    guarded: RealNodes, load: Load, namespace: str, strangers: str
):
    pods = [(pod["metadata"]["name"], pod["status"]["podIP"]) for pod in operator_pods(guarded)]
    nodes = [node.name for node in guarded.nodes]
    asked = [(node, address) for node in nodes for _, address in pods]
    until(lambda: all(reads_metrics(guarded, namespace, *question) for question in asked))
    until(lambda: not any(reads_metrics(guarded, strangers, *question) for question in asked))
    kubelets = [[node.address, 10250] for node in guarded.nodes]
    peers = [[address, 8080] for _, address in pods]
    for name, address in pods:
        others = [peer for peer in peers if peer[0] != address]
        command = ("exec", "-n", OPERATOR_NAMESPACE, name, "--", "python3", "-c", CONNECT)
        reached = guarded.kubectl(*command, json.dumps([["10.0.0.1", 443], *kubelets, *others])).stdout
        assert json.loads(reached) == [True, False, False, False]

    load.value = HIGH
    until(lambda: guarded.get("deployment", "app", namespace)["spec"]["replicas"] == 3, 300)
    assert all_ready(guarded)
