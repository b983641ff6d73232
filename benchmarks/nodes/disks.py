"""Ten disks that fill up: forestall drains the node before its kubelet evicts; protected pods stay for the kubelet."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from benchmarks.nodes.apps import Body, app, disk, objective, policy
from benchmarks.nodes.environment import ROOT, SETTLE_S, NodesBench, until

from forestall.api.remediation import TERMINAL
from forestall.devcluster.node import Node
from forestall.devcluster.node_disk import set_used

NAMES = ("disks", "disks-alone")
COUNT = 10
START, FULL_AFTER_S, CLEANED_AFTER_S = 0.3, 150.0, 190.0
"""The kubelet evicts at a share of 0.9, which is after 129 s; and the objective's limit is 0.85."""
EVICTS_AFTER_S = FULL_AFTER_S * (0.9 - START) / (1 - START)


def measure(bench: NodesBench, nodes: list[Node], *, quick: bool) -> dict[str, Any]:
    """Fill the disk of each node, ten times in all, with applications of both kinds on it."""
    bench.namespace(NAMES[0])
    bench.namespace(NAMES[1], **{"forestall.dev/protected": "true"})
    bench.cluster.apply(policy({"indicators": ["disk"], "drain": {"healthyFor": "20s"}}), namespace=NAMES[0])
    rounds = 1 if quick else math.ceil(COUNT / len(nodes))
    totals: dict[str, Any] = {"disks": 0, "badSeconds": {"without": 0, "with": 0}}
    began: dict[str, list[float]] = {}
    for number in range(rounds):
        if number:
            for node in nodes:  # the kubelet deletes images that no pod uses before it evicts pods
                node.import_image(ROOT / "build" / "shop-image.tar")
        begins = time.time()
        with ThreadPoolExecutor(len(nodes)) as pool:
            for node, at in zip(nodes, pool.map(lambda node: _fill(bench, node), nodes), strict=True):
                began.setdefault(f"web-{node.name}", []).append(at)
        totals["disks"] += len(nodes)
        for arm, namespace in zip(("with", "without"), NAMES, strict=True):
            totals["badSeconds"][arm] += bench.bad_seconds(namespace, begins, time.time())
    bench.until_ended(NAMES[0], 60)
    decided = bench.remediations(NAMES[0])
    ended = [body for body in decided if body["phase"] in TERMINAL]
    right = [body for body in ended if body["verified"] == "True" or body["reason"] == "Contained"]
    return {
        **totals,
        "evictions": {"without": bench.evictions[NAMES[1]], "with": bench.evictions[NAMES[0]]},
        "secondsToTheKubeletsThreshold": round(EVICTS_AFTER_S),
        "secondsBeforeTheThreshold": sorted(_left(body, began) for body in decided if body["at"]),
        "actions": len(decided),
        "wasted": max(0, len(decided) - totals["disks"]),
        "verdicts": len(ended),
        "right": len(right),
        "wrong": [body for body in ended if body not in right],
        "locked": bench.locked(NAMES[0]),
        "holds": bench.evictions[NAMES[0]] == 0 and len(right) >= 0.95 * len(ended) > 0 and not bench.locked(NAMES[0]),
    }


def _left(body: dict[str, str], began: dict[str, list[float]]) -> int:
    """Return how many seconds before the kubelet's threshold a drain was begun."""
    at = datetime.fromisoformat(body["at"]).timestamp()
    return round(max(begins for begins in began[body["objective"]] if begins <= at) + EVICTS_AFTER_S - at)


def _fill(bench: NodesBench, node: Node) -> float:
    """Fill the disk of one node, with new applications on it, and clean it up; return when it began to fill (s)."""
    name = f"web-{node.name}"
    budget: Body = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}},
    }
    set_used(node, START)
    for namespace in NAMES:
        bench.cluster.kubectl("delete", "deployment", name, "-n", namespace, "--ignore-not-found", "--wait=true")
        bench.cluster.apply(budget, namespace=namespace)
        bench.deploy(app(name, replicas=2, node=node.name), namespace)
    bench.cluster.apply(objective(name, NAMES[0], disk(node.name)), namespace=NAMES[0])
    time.sleep(SETTLE_S)
    begins = time.time()
    while (elapsed := time.time() - begins) < CLEANED_AFTER_S:
        set_used(node, min(1.0, START + (1 - START) * elapsed / FULL_AFTER_S))
        time.sleep(2.0)
    set_used(node, START)
    wait = ("wait", "--for=condition=DiskPressure=false", f"node/{node.name}", "--timeout=120s")
    bench.cluster.kubectl(*wait, timeout_s=130)
    until(lambda: not bench.cluster.get("node", node.name)["spec"].get("unschedulable"), 150, 3.0)
    return begins
