"""Ten node failures: a node is cut off, and comes back. Nothing foretells it: forestall must do nothing wrong."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.nodes.apps import app, errors, memory, objective, policy
from benchmarks.nodes.environment import SETTLE_S, NodesBench

from forestall.devcluster.node import Node
from forestall.devcluster.processes import run

NAMES = ("failures", "failures-alone")
COUNT = 10
DOWN_S = 60.0
BETWEEN_S = 30.0


def measure(bench: NodesBench, nodes: list[Node], *, quick: bool) -> dict[str, Any]:
    """Cut off each node, ten failures in all; one of the two pods of each application is on it."""
    for namespace in NAMES:
        bench.namespace(namespace)
    names = {node.name: f"web-{node.name}" for node in nodes}
    objectives = [
        objective(name, NAMES[0], memory(name, NAMES[0], 230.0), errors(name, NAMES[0])) for name in names.values()
    ]
    actions = policy(
        {"indicators": ["memory"], "restart": {}}, {"indicators": ["errors"], "rollback": {"within": "10m"}}
    )
    bodies = [body for node, name in names.items() for body in app(name, replicas=2, node=node, spread=True)]
    with ThreadPoolExecutor(len(NAMES)) as pool:
        list(pool.map(lambda namespace: bench.deploy(bodies, namespace), NAMES))
    time.sleep(SETTLE_S)
    bench.cluster.apply(*objectives, actions, namespace=NAMES[0])
    time.sleep(SETTLE_S)
    begins = time.time()
    failed = 0
    for _ in range(1 if quick else math.ceil(COUNT / len(nodes))):
        for node in nodes:
            _cable(bench, node, "down")
            failed += 1
        time.sleep(DOWN_S)
        for node in nodes:
            _cable(bench, node, "up")
        ready = [f"node/{node.name}" for node in nodes]
        bench.cluster.kubectl("wait", "--for=condition=Ready=true", *ready, "--timeout=120s", timeout_s=130)
        time.sleep(BETWEEN_S)
    bench.until_ended(NAMES[0], 100)
    decided = bench.remediations(NAMES[0])
    wrong = [body for body in decided if body["verified"] == "True"]
    return {
        "failures": failed,
        "secondsDown": DOWN_S,
        "badSeconds": {
            "without": bench.bad_seconds(NAMES[1], begins, time.time()),
            "with": bench.bad_seconds(NAMES[0], begins, time.time()),
        },
        "actions": len(decided),
        "wasted": len(decided),
        "decided": decided,
        "wrongVerdicts": len(wrong),
        "locked": bench.locked(NAMES[0]),
        "holds": not decided and not bench.locked(NAMES[0]),
    }


def _cable(bench: NodesBench, node: Node, state: str) -> None:
    """Cut a node off from the network, or connect it again."""
    run(bench.cluster.network.inside(["ip", "link", "set", f"node{node.number}", state]))
    if state == "up":  # the kernel forgets routes of a link that is down
        route = f"10.244.{node.address.rpartition('.')[2]}.0/24"
        run(bench.cluster.network.inside(["ip", "route", "replace", route, "via", node.address]))
