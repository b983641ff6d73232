"""Ten leaks of .2 to 5 MiB a second in real pods, with forestall and without it."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from benchmarks.nodes.apps import app, memory, objective, policy
from benchmarks.nodes.environment import SETTLE_S, NodesBench

from forestall.api.remediation import TERMINAL

NAMES = ("leaks", "leaks-alone")
"""The namespaces: with a policy, and without."""
SLOWEST, FASTEST = 0.2, 5.0
LASTS_S = 240.0
"""From the start of a pod to the kill; so long that a forecast has time."""
BASE_MIB = 40.0
EARLY_S = 150.0
"""An action longer than this before the kill is wasted."""


def rates(count: int) -> list[float]:
    """Return so many rates, evenly spaced by their ratio."""
    return [SLOWEST * (FASTEST / SLOWEST) ** (number / max(1, count - 1)) for number in range(count)]


def measure(bench: NodesBench, *, quick: bool) -> dict[str, Any]:
    """Let the applications leak for two lives of a pod."""
    leaking = dict(enumerate(rates(3 if quick else 10)))
    limits = {number: BASE_MIB + rate * LASTS_S for number, rate in leaking.items()}
    for namespace in NAMES:
        bench.namespace(namespace)
    actions = [policy({"indicators": ["memory"], "restart": {}})]
    objectives = [objective(f"leak-{n}", NAMES[0], memory(f"leak-{n}", NAMES[0], 0.9 * limits[n])) for n in leaking]
    bodies = [
        body
        for number, rate in leaking.items()
        for body in app(f"leak-{number}", arguments=[f"--leak-per-second={rate:.3f}"], memory_mib=round(limits[number]))
    ]
    with ThreadPoolExecutor(len(NAMES)) as pool:
        list(pool.map(lambda namespace: bench.deploy(bodies, namespace), NAMES))
    begins = time.time()
    time.sleep(SETTLE_S)
    bench.cluster.apply(*objectives, *actions, namespace=NAMES[0])
    time.sleep(LASTS_S * (1.3 if quick else 2))
    bench.until_ended(NAMES[0], 90)
    decided = bench.remediations(NAMES[0])
    ended = [body for body in decided if body["phase"] in TERMINAL]
    right = [body for body in ended if body["verified"] == "True"]
    left = [_left(bench, body, limits) for body in decided if body["at"]]
    return {
        "leaks": len(leaking),
        "secondsFromStartToKill": LASTS_S,
        "seconds": round(time.time() - begins),
        "oomKills": {"without": bench.kills[NAMES[1]], "with": bench.kills[NAMES[0]]},
        "badSeconds": {
            "without": bench.bad_seconds(NAMES[1], begins, time.time()),
            "with": bench.bad_seconds(NAMES[0], begins, time.time()),
        },
        "actions": len(decided),
        "wasted": sum(seconds > EARLY_S for seconds in left),
        "secondsBeforeTheKill": sorted(round(seconds) for seconds in left if math.isfinite(seconds)),
        "verdicts": len(ended),
        "right": len(right),
        "wrong": [body for body in ended if body not in right],
        "locked": bench.locked(NAMES[0]),
        "holds": bench.kills[NAMES[0]] == 0 and len(right) >= 0.95 * len(ended) and not bench.locked(NAMES[0]),
    }


def _left(bench: NodesBench, body: dict[str, str], limits: dict[int, float]) -> float:
    """Return how many seconds after the action began the fullest pod would have been killed, as fast as it grew."""
    name = body["objective"]
    pods = f'container_memory_working_set_bytes{{namespace="{NAMES[0]}",pod=~"{name}-.*",container="shop"}}'
    at = datetime.fromisoformat(body["at"]).timestamp()
    limit = limits[int(name.removeprefix("leak-"))] * 2**20
    answer = bench.query(f"({limit} - {pods}) / (deriv({pods}[2m]) > 0)", at)
    return min((float(series["value"][1]) for series in answer), default=math.nan)
