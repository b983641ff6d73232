"""A leader that is killed, frozen or cut off on real nodes: the other replica takes over, and never do both write.

Who writes what is read from the API server's audit log, in which each token names its pod.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.audit import AuditLog
from tests.support.operator_pods import OPERATOR_NAMESPACE, all_ready, leader, leading_pod, operator_pods, restarts
from tests.support.scaling import CALM, HIGH, Load
from tests.support.waiting import until

from forestall.adapters.kubernetes.lease import Timing
from forestall.devcluster.node import Node
from forestall.devcluster.nodes import RealNodes

TIMING = Timing()
TAKEN_OVER_S = TIMING.duration + 2 * TIMING.retry + TIMING.request
"""Within what time the Lease has another holder: its last renewal and its end are seen at the next look."""
LONG_S = 300

slowly = pytest.mark.skipif(
    not os.environ.get("FORESTALL_LONG"),
    reason="three changes of leader take more than a minute: `make nodes` runs them, by FORESTALL_LONG=1",
)


@pytest.fixture
def pair(operator: RealNodes, audit: AuditLog) -> Iterator[RealNodes]:
    """The cluster with two replicas that are ready, before and after, each on a node of its own.

    The audit log begins with a write of the leader, which otherwise may be stopped between two renewals.
    """
    until(lambda: bool(leader(operator)) and all_ready(operator), LONG_S)
    until(lambda: are_apart(operator), LONG_S, pause=1)
    until(lambda: bool(leader(operator)) and all_ready(operator), LONG_S)
    audit.mark()
    until(lambda: audit.writers() == [leading_pod(operator)["metadata"]["name"]], LONG_S)
    yield operator
    until(lambda: all_ready(operator), LONG_S)


def are_apart(cluster: RealNodes) -> bool:
    """Say whether each replica has a node of its own; the scheduler is asked again for one that has not."""
    first, *others = operator_pods(cluster)
    together = [pod for pod in others if pod["spec"].get("nodeName") == first["spec"].get("nodeName")]
    for pod in together:
        cluster.kubectl("delete", "pod", pod["metadata"]["name"], "-n", OPERATOR_NAMESPACE)
    return len(others) == 1 and not together


def node_of(cluster: RealNodes, pod: dict[str, Any]) -> Node:
    return next(node for node in cluster.nodes if node.name == pod["spec"]["nodeName"])


def signal(cluster: RealNodes, pod: dict[str, Any], name: str) -> None:
    """Send a signal to the process of a pod, as its node's root may."""
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    node_of(cluster, pod).run("ctr", "--namespace=k8s.io", "tasks", "kill", f"--signal={name}", container)


@contextmanager
def cut_off(cluster: RealNodes, node: Node) -> Iterator[None]:
    """Let no packet reach or leave a node while the body runs."""
    cluster.network.connect(node.number, up=False)
    try:
        yield
    finally:
        cluster.network.connect(node.number, up=True)


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
    count = restarts(pair)[name]
    signal(pair, pod, "SIGKILL")
    wait_for_successor(pair, before)
    until(lambda: restarts(pair)[name] == count + 1 and all_ready(pair), LONG_S)
    assert_one_writer_at_a_time(audit, [name, leading_pod(pair)["metadata"]["name"]])


@slowly
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


@slowly
def test_a_leader_whose_node_is_cut_off_ends_before_another_leads(pair: RealNodes, audit: AuditLog):
    """It can't know what the others see, so it stops by its own clock, and is started again."""
    before, pod = leader(pair), leading_pod(pair)
    name = pod["metadata"]["name"]
    count = restarts(pair)[name]
    with cut_off(pair, node_of(pair, pod)):
        wait_for_successor(pair, before)
    until(lambda: restarts(pair)[name] > count and all_ready(pair), LONG_S)
    assert_one_writer_at_a_time(audit, [name, leading_pod(pair)["metadata"]["name"]])
