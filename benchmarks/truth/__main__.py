"""The simulated autoscalers compared with the real ones, on one hour of traffic in four minutes.

python -m benchmarks.truth
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from benchmarks.truth import keda
from benchmarks.truth.agreement import REQUIRED_AGREEMENT, compare, simulate
from benchmarks.truth.stand import ARRIVALS, CAPACITY, SPEED, Recording, Stand
from rich.console import Console

from forestall.demo.scenarios import NAMESPACE
from forestall.devcluster.programs import find_programs
from forestall.devcluster.progress import Steps
from forestall.sim.controllers.base import Controller
from forestall.sim.controllers.hpa import Hpa
from forestall.sim.controllers.keda import Keda

HOURS = (2.0, 23.0)
MIN_REPLICAS, MAX_REPLICAS = 2, 20
TARGET = 0.6
START_UP_S = 60.0
KEDA_WINDOW_S = 60


def real_hpa(steps: Steps) -> Recording:
    """Scale the shop with the real HorizontalPodAutoscaler on CPU utilization."""
    utilization = {"type": "Utilization", "averageUtilization": round(TARGET * 100)}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": utilization}}
    programs = find_programs(steps=steps)
    with Stand(programs, steps, hours=HOURS, start_up_s=START_UP_S / SPEED) as stand, stand.metrics_api():
        stand.cluster.apply(stand.autoscaler([metric], MIN_REPLICAS, MAX_REPLICAS), namespace=NAMESPACE)
        with steps.step("let an hour of traffic arrive, scaled by the HorizontalPodAutoscaler"):
            return stand.record()


def real_keda(steps: Steps) -> Recording:
    """Scale the shop with the real KEDA on the arriving requests."""
    programs = find_programs(steps=steps)
    added = find_programs(("keda-operator", "keda-adapter"), steps)
    with Stand(programs, steps, hours=HOURS, start_up_s=START_UP_S / SPEED) as stand:
        with steps.step("start KEDA"):
            keda.start(stand, added)
            query = f"sum(rate({ARRIVALS}[{KEDA_WINDOW_S // SPEED}s]))"
            keda.scale(stand, query, TARGET * CAPACITY, MIN_REPLICAS, MAX_REPLICAS)
        with steps.step("let an hour of traffic arrive, scaled by KEDA"):
            return stand.record()


REAL: Mapping[str, Callable[[Steps], Recording]] = {"hpa": real_hpa, "keda": real_keda}


def simulated_controller(name: str) -> Controller:
    """Return the simulated autoscaler of this name."""
    target = np.array([TARGET])
    return Hpa(target) if name == "hpa" else Keda(target)


def main() -> int:
    """Run the comparisons and return the exit code: 0 where all agree well enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", choices=REAL, action="append", help="an autoscaler to compare, may be repeated; default: all"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/truth.json"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    steps = Steps(Console(stderr=True))
    results = {}
    for name in options.only or REAL:
        recording = REAL[name](steps)
        results[name] = {
            **compare(
                recording, simulate(recording, simulated_controller(name), START_UP_S, (MIN_REPLICAS, MAX_REPLICAS))
            ),
            "recorded": asdict(recording),
        }
        options.output.write_text(json.dumps(results) + "\n")
        summary = {key: value for key, value in results[name].items() if key not in {"recorded", "real", "simulated"}}
        print(name, json.dumps(summary))
    return 0 if all(result["withinOneReplica"] >= REQUIRED_AGREEMENT for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
