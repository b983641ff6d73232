"""Ten bad rollouts: the new version fails every request. forestall rolls back; without it, a person does, later."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.nodes.apps import app, errors, objective, policy
from benchmarks.nodes.environment import SETTLE_S, NodesBench

from forestall.api.remediation import TERMINAL

NAMES = ("rollouts", "rollouts-alone")
PERSON_S = 180.0
"""After this time a person rolls back what is still bad."""
MIN_READY_S = 30
_BROKEN = ("--full-node=$(NODE_NAME)", "--fills-in=0.001")


def measure(bench: NodesBench, *, quick: bool) -> dict[str, Any]:
    """Roll out a version that fails, everywhere, and wait until the old one serves again."""
    names = [f"web-{number}" for number in range(3 if quick else 10)]
    for namespace in NAMES:
        bench.namespace(namespace)
    objectives = [objective(name, NAMES[0], errors(name, NAMES[0])) for name in names]
    bodies = [body for name in names for body in app(name, replicas=2)]
    with ThreadPoolExecutor(len(NAMES)) as pool:
        list(pool.map(lambda namespace: bench.deploy(bodies, namespace), NAMES))
    time.sleep(SETTLE_S)
    bench.cluster.apply(*objectives, policy({"rollback": {"within": "10m"}}), namespace=NAMES[0])
    time.sleep(SETTLE_S)
    begins = time.time()
    for name in names:
        for namespace in NAMES:
            _release(bench, name, namespace)
        time.sleep(3.0)
    time.sleep(max(0.0, begins + PERSON_S - time.time()))
    for namespace in NAMES:
        for name in names:
            if _is_bad(bench, name, namespace):
                bench.cluster.kubectl("rollout", "undo", f"deployment/{name}", "-n", namespace)
    bench.until_ended(NAMES[0], 120)
    decided = bench.remediations(NAMES[0])
    right = [body for body in decided if body["verified"] == "True"]
    ended = [body for body in decided if body["phase"] in TERMINAL]
    return {
        "rollouts": len(names),
        "rolledBackByAPersonAfterSeconds": PERSON_S,
        "badSeconds": {
            "without": bench.bad_seconds(NAMES[1], begins, time.time()),
            "with": bench.bad_seconds(NAMES[0], begins, time.time()),
        },
        "actions": len(decided),
        "wasted": max(0, len(decided) - len(names)),
        "verdicts": len(ended),
        "right": len(right),
        "wrong": [body for body in ended if body not in right],
        "locked": bench.locked(NAMES[0]),
        "holds": len(right) >= 0.95 * len(ended) > 0 and not bench.locked(NAMES[0]),
    }


def _release(bench: NodesBench, name: str, namespace: str) -> None:
    (deployment, _) = app(name, arguments=_BROKEN, replicas=2, min_ready_s=MIN_READY_S)
    bench.cluster.apply(deployment, namespace=namespace)


def _is_bad(bench: NodesBench, name: str, namespace: str) -> bool:
    return _BROKEN[0] in json.dumps(bench.cluster.get("deployment", name, namespace)["spec"]["template"])
