"""A leader that is killed or frozen on real nodes: the other replica takes over, and never do both write.

Who writes what is read from the API server's audit log, in which each token names its pod.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.audit import AuditLog
from tests.support.operator_pods import all_ready, leader, leading_pod, restarts
from tests.support.scaling import CALM, HIGH, Load
from tests.support.waiting import until

from forestall.adapters.kubernetes.lease import Timing
from forestall.devcluster.node import Node
from forestall.devcluster.nodes import RealNodes

TIMING = Timing()
TAKEN_OVER_S = TIMING.duration + 2 * TIMING.retry + TIMING.request
"""Within what time the Lease has another holder: its last renewal and its end are seen at the next look."""
LONG_S = 300


@pytest.fixture
def pair(operator: RealNodes, audit: AuditLog) -> Iterator[RealNodes]:
    """The cluster with two replicas that are ready, before and after."""
    until(lambda: bool(leader(operator)) and all_ready(operator), LONG_S)
    audit.mark()
    yield operator
    until(lambda: all_ready(operator), LONG_S)


def node_of(cluster: RealNodes, pod: dict[str, Any]) -> Node:
    return next(node for node in cluster.nodes if node.name == pod["spec"]["nodeName"])


def signal(cluster: RealNodes, pod: dict[str, Any], name: str) -> None:
    """Send a signal to the process of a pod, as its node's root may."""
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    node_of(cluster, pod).run("ctr", "--namespace=k8s.io", "tasks", "kill", f"--signal={name}", container)


def wait_for_successor(cluster: RealNodes, before: str) -> None:
    until(lambda: leader(cluster) not in ("", before), LONG_S)


def assert_one_writer_at_a_time(audit: AuditLog, pods: list[str]) -> None:
    """Hold that the pods wrote one after the other, and that nobody led for no longer than is documented."""
    assert audit.writers() == pods
    assert audit.longest_gap_s() < TAKEN_OVER_S


def test_the_other_replica_takes_over_from_a_leader_that_is_killed(pair: RealNodes, audit: AuditLog):
    """Nobody gives the Lease back: it has to run out. The kubelet starts the container again, which stands by."""
    before, pod = leader(pair), leading_pod(pair)
    name = pod["metadata"]["name"]
    signal(pair, pod, "SIGKILL")
    wait_for_successor(pair, before)
    until(lambda: restarts(pair)[name] == 1 and all_ready(pair), LONG_S)
    assert_one_writer_at_a_time(audit, [name, leading_pod(pair)["metadata"]["name"]])


def test_a_leader_that_was_frozen_writes_nothing_when_it_goes_on(
    pair: RealNodes, audit: AuditLog, load: Load, namespace: str
):
    """While it stands still the load rises, and the other one acts; both would scale out if both led."""
    before, pod = leader(pair), leading_pod(pair)
    signal(pair, pod, "SIGSTOP")
    load.value = HIGH
    wait_for_successor(pair, before)
    until(lambda: pair.get("deployment", "app", namespace)["spec"]["replicas"] == 3, LONG_S)
    count = restarts(pair)[pod["metadata"]["name"]]
    signal(pair, pod, "SIGCONT")
    until(lambda: restarts(pair)[pod["metadata"]["name"]] > count, LONG_S)
    load.value = CALM
    until(lambda: pair.get("deployment", "app", namespace)["spec"]["replicas"] == 2, LONG_S)
    assert_one_writer_at_a_time(audit, [pod["metadata"]["name"], leading_pod(pair)["metadata"]["name"]])
