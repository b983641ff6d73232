"""`python -m benchmarks.nodes`: the operator's image on real nodes, and real faults with it and without it, as JSON.

`resources` has a cluster of its own. The faults share one, side by side in namespaces and on nodes of their own: leaks
and bad rollouts on two nodes, and filling disks, then node failures, on the others. Needs root on Linux, and the images
of `make image` in build/.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.nodes import disks, failures, leaks, resources, rollouts
from benchmarks.nodes.apps import GENERAL, guardrail
from benchmarks.nodes.environment import NodesBench, machine, open_bench

FAULTS = ("leaks", "rollouts", "disks", "node-failures")
SUBJECTS = ("resources", *FAULTS)
INTERVAL = "10s"
"""From one cycle to the next where things fail within minutes; the chart's own is 30s."""
RIGHTS = ("workloads.clusterWide=true", "workloads.rollback=true", "nodes.enabled=true", "nodes.drain=true")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer faults, and no thousand objectives")
    parser.add_argument("--only", choices=SUBJECTS, action="append", help="may be repeated; default: all")
    parser.add_argument("--objectives", type=int, action="append", help="only so many for `resources`; may be repeated")
    parser.add_argument("--nodes", type=int, default=5, help="nodes whose disks fill, and that fail, ten times in all")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/nodes.json"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    result = json.loads(options.output.read_text()) if options.only and options.output.exists() else {}
    chosen = options.only or SUBJECTS

    def keep(name: str, figures: dict[str, Any], began: float) -> None:
        figures |= {"quick": options.quick, "wallSeconds": round(time.monotonic() - began), "machine": machine()}
        result[name] = figures
        options.output.write_text(json.dumps(result, indent=1) + "\n")
        print(f"\n{name}\n{json.dumps(figures, indent=1)}", flush=True)

    if "resources" in chosen:
        sizes = options.objectives or (resources.SIZES[:2] if options.quick else resources.SIZES)
        began = time.monotonic()
        with open_bench(2, "30s") as bench:
            keep("resources", resources.measure(bench, sorted(sizes)), began)
    if faults := [name for name in FAULTS if name in chosen]:
        _measure_faults(faults, 1 if options.quick else options.nodes, keep, quick=options.quick)
    print(f"\nwritten to {options.output}")
    sys.exit(0 if all(result[name]["holds"] for name in chosen) else 1)


def _measure_faults(
    names: list[str], failing: int, keep: Callable[[str, dict[str, Any], float], None], *, quick: bool
) -> None:
    """Measure these faults side by side; those that need a node for themselves, one after the other."""
    own = any(name in names for name in ("disks", "node-failures"))
    began = time.monotonic()
    with open_bench(len(GENERAL) + failing * own, INTERVAL, *RIGHTS) as bench, bench.watched():
        bench.cluster.apply(guardrail(failing + 1))
        nodes = bench.cluster.nodes[len(GENERAL) :]
        measures: Mapping[str, Callable[[NodesBench], dict[str, Any]]] = {
            "leaks": lambda bench: leaks.measure(bench, quick=quick),
            "rollouts": lambda bench: rollouts.measure(bench, quick=quick),
            "disks": lambda bench: disks.measure(bench, nodes, quick=quick),
            "node-failures": lambda bench: failures.measure(bench, nodes, quick=quick),
        }

        def run(group: list[str]) -> None:
            for name in group:
                keep(name, measures[name](bench), began)

        groups = [["leaks"], ["rollouts"], ["disks", "node-failures"]]
        with ThreadPoolExecutor(len(groups)) as pool:
            list(pool.map(run, [[name for name in group if name in names] for group in groups]))


if __name__ == "__main__":
    main()
