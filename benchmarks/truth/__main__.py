"""The simulated autoscalers held against the real ones, on one hour of traffic in four minutes.

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
from benchmarks.truth.agreement import WANTED, compare, simulate
from benchmarks.truth.stand import ARRIVALS, CARRIES, SPEED, Seen, Stand
from rich.console import Console

from forestall.demo.scenarios import NAMESPACE
from forestall.devcluster.programs import find_programs
from forestall.devcluster.progress import Steps
from forestall.sim.controllers.base import Controller
from forestall.sim.controllers.hpa import Hpa
from forestall.sim.controllers.keda import Keda

HOURS = (2.0, 23.0)
LEAST, MOST = 2, 20
TARGET = 0.6
START_UP_S = 60.0
KEDA_WINDOW_S = 60


def real_hpa(steps: Steps) -> Seen:
    """Have the real HorizontalPodAutoscaler scale the shop on CPU utilization."""
    utilization = {"type": "Utilization", "averageUtilization": round(TARGET * 100)}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": utilization}}
    programs = find_programs(steps=steps)
    with Stand(programs, steps, hours=HOURS, start_up_s=START_UP_S / SPEED) as stand, stand.metrics_api():
        stand.cluster.apply(stand.autoscaler([metric], LEAST, MOST), namespace=NAMESPACE)
        with steps.step("let an hour of traffic arrive, scaled by the HorizontalPodAutoscaler"):
            return stand.play()


def real_keda(steps: Steps) -> Seen:
    """Have the real KEDA scale the shop on the requests that arrive."""
    programs = find_programs(steps=steps)
    added = find_programs(("keda-operator", "keda-adapter"), steps)
    with Stand(programs, steps, hours=HOURS, start_up_s=START_UP_S / SPEED) as stand:
        with steps.step("start KEDA"):
            keda.start(stand, added)
            query = f"sum(rate({ARRIVALS}[{KEDA_WINDOW_S // SPEED}s]))"
            keda.scale(stand, query, TARGET * CARRIES, LEAST, MOST)
        with steps.step("let an hour of traffic arrive, scaled by KEDA"):
            return stand.play()


REAL: Mapping[str, Callable[[Steps], Seen]] = {"hpa": real_hpa, "keda": real_keda}


def simulated(name: str) -> Controller:
    """Return the simulated autoscaler that is held against the real one of this name."""
    target = np.array([TARGET])
    return Hpa(target) if name == "hpa" else Keda(target)


def main() -> int:
    """Run what the arguments ask for, and return the exit code: 0 where all that was simulated is true enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=REAL, action="append", help="only this one; may be repeated")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/truth.json"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    steps = Steps(Console(stderr=True))
    found = {}
    for name in options.only or REAL:
        seen = REAL[name](steps)
        found[name] = {
            **compare(seen, simulate(seen, simulated(name), START_UP_S, (LEAST, MOST))),
            "recorded": asdict(seen),
        }
        options.output.write_text(json.dumps(found) + "\n")
        shown = {key: value for key, value in found[name].items() if key not in {"recorded", "real", "simulated"}}
        print(name, json.dumps(shown))
    return 0 if all(each["withinOneReplica"] >= WANTED for each in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
