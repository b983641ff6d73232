"""The demo on real nodes: what it takes, what fills the disk, and which pods it loses."""

import json
from typing import Any

import pytest
from kubernetes import client, config

from forestall.demo import real_environment
from forestall.demo.metrics import REAL, live_queries, run_queries
from forestall.demo.pod_losses import PodLosses
from forestall.demo.real_environment import check_machine, shop_image
from forestall.demo.runner import choose_scenario
from forestall.demo.scenarios import REAL_SCENARIOS, SCENARIOS, DiskFill
from forestall.devcluster.node_disk import set_used
from forestall.errors import InvalidInput, MissingTool


def test_real_nodes_have_scenarios_of_their_own():
    assert choose_scenario("leak", "nodes") is REAL_SCENARIOS["leak"]
    assert choose_scenario("leak", "kwok") is SCENARIOS["leak"]
    assert choose_scenario("surge", "kind") is SCENARIOS["surge"]


@pytest.mark.parametrize(
    ("name", "cluster", "message"),
    [
        ("surge", "nodes", "'surge' does not run on real nodes: choose one of leak, node"),
        ("flood", "nodes", "no scenario 'flood': choose one of leak, node"),
        ("flood", "kwok", "no scenario 'flood': choose one of surge, leak, node"),
    ],
)
def test_a_scenario_that_the_cluster_does_not_have_is_refused(name, cluster, message):
    with pytest.raises(InvalidInput, match=message):
        choose_scenario(name, cluster)


def test_a_machine_that_can_not_run_real_nodes_is_told_all_that_it_lacks(monkeypatch):
    monkeypatch.setattr(real_environment, "lacking", lambda folder, nodes: ["root", f"{nodes} disks"])
    with pytest.raises(MissingTool, match=r"lacks root; 2 disks\. Without CLUSTER=nodes it runs"):
        check_machine(2)
    monkeypatch.setattr(real_environment, "lacking", lambda folder, nodes: [])
    check_machine(2)


def test_without_the_image_of_the_shop_it_says_how_to_make_it(tmp_path):
    with pytest.raises(MissingTool, match=r"build/shop-image\.tar is not there: `make image` makes it"):
        shop_image(tmp_path)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "shop-image.tar").touch()
    assert shop_image(tmp_path) == tmp_path / "build" / "shop-image.tar"


@pytest.mark.parametrize("name", REAL_SCENARIOS)
def test_the_figures_have_the_indicator_of_each_real_scenario(name):
    """Requests are counted by their sender: a pod that was killed counts nothing."""
    queries = run_queries(REAL, "traffic")
    assert REAL_SCENARIOS[name].indicator in queries
    assert REAL_SCENARIOS[name].indicator in live_queries(REAL, "traffic")
    assert all('job="traffic"' in queries[figure] for figure in ("good", "total", "arrivals", "ticks", "prompt"))


def test_a_disk_fills_evenly_and_is_cleaned_up():
    fill = DiskFill("node-2", start=0.4, full_at=100, cleaned_at=120)
    assert [fill.used(at) for at in (-5, 0, 50, 100, 119, 120)] == [0.4, 0.4, 0.7, 1.0, 1.0, 0.4]


class DiskNode:
    """A node whose disk has 1,000 KiB; it records the commands that change it."""

    def __init__(self, used: int) -> None:
        self.used = used
        self.changes: list[str] = []

    def run(self, *command: str) -> str:
        if command[0] == "df":
            return f"1K-blocks Used\n1000 {self.used}\n"
        self.changes.append(" ".join(command))
        return ""


@pytest.mark.parametrize(
    ("used", "share", "change"),
    [(400, 0.7, "-l 300KiB /var/log/fill"), (900, 0.4, "rm -f /var/log/fill"), (700, 0.7, None), (710, 0.7, None)],
)
def test_the_disk_is_filled_to_the_share_and_emptied_only_for_one_far_below(used, share, change):
    node: Any = DiskNode(used)
    set_used(node, share)
    assert len(node.changes) == (change is not None)
    assert change is None or change in node.changes[0]


def pod(uid="1", *, restarts=0, state=None, last=None, reason=None):
    status = {"phase": "Running", "reason": reason, "message": "it was low on disk"}
    container = {"name": "shop", "ready": True, "image": "", "imageID": "", "restartCount": restarts}
    status["containerStatuses"] = [{**container, "state": state or {}, "lastState": last or {}}]
    return {"metadata": {"name": f"shop-{uid}", "uid": uid}, "status": status}


KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
RUNNING: dict[str, Any] = {"running": {}}


@pytest.fixture
def answers(monkeypatch):
    """Lists of pods that the API gives, one for each call."""
    lists: list[Any] = []

    def listed(self, namespace, _request_timeout):
        body = lists.pop(0)
        if isinstance(body, Exception):
            raise body
        return client.ApiClient().deserialize(json.dumps({"items": body}), "V1PodList", "application/json")

    monkeypatch.setattr(client.CoreV1Api, "list_namespaced_pod", listed)
    monkeypatch.setattr(config, "new_client_from_config", lambda kubeconfig: client.ApiClient())
    return lists


def test_each_kill_and_each_eviction_is_a_loss_once(answers):
    """Kind: an end and the restart that follows it are told as two, or a second kill of the pod as none."""
    answers += [
        [pod(restarts=1, state=RUNNING, last=KILLED)],  # of an earlier run
        [pod(restarts=1, state=KILLED, last=KILLED)],
        [pod(restarts=2, state=RUNNING, last=KILLED)],
        client.ApiException(status=500),
        [pod(restarts=2, state=RUNNING, last=KILLED), pod("2", reason="Evicted")],
        [pod("2", reason="Evicted"), pod("3", restarts=1, last={"terminated": {"exitCode": 1, "reason": "Error"}})],
    ]
    losses = PodLosses("kubeconfig", "shop")
    assert list(losses.new()) == ["the kernel kills shop-1: OOMKilled"]
    assert list(losses.new()) == []
    assert list(losses.new()) == []
    assert list(losses.new()) == ["the kubelet evicts shop-2: it was low on disk"]
    assert list(losses.new()) == []
