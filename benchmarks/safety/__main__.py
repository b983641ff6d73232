"""`python -m benchmarks.safety`: failure injection around the operator, as a table and as JSON.

Each figure is measured on a real control plane, by processes that are really killed, stopped and cut off. `--quick`
takes a few minutes, and is run by the cluster tests; the counts of the whole run are the project's promises.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Protocol

from benchmarks.safety import (
    api_faults,
    commented,
    crashes,
    drains,
    escalation,
    leaders,
    metric_faults,
    renewals,
    starvation,
    storm,
    writers,
)
from benchmarks.safety.environment import SafetyEnvironment, open_environment


class Measure(Protocol):
    """Returns figures, and in `holds` whether they meet the promise."""

    def __call__(self, environment: SafetyEnvironment, *, quick: bool) -> Coroutine[Any, Any, dict[str, Any]]: ...


MEASURES: Mapping[str, Measure] = {
    "crashes": crashes.measure,
    "leaders": leaders.measure,
    "escalation": escalation.measure,
    "api-faults": api_faults.measure,
    "metric-faults": metric_faults.measure,
    "drains": drains.measure,
    "storm": storm.measure,
    "starvation": starvation.measure,
    "renewals": renewals.measure,
    "commented": commented.measure,
    "writers": writers.measure,
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="run fewer repetitions")
    parser.add_argument(
        "--only", choices=MEASURES, action="append", help="a benchmark to run, may be repeated; default: all"
    )
    parser.add_argument(
        "--kubeconfig", type=Path, help="a disposable cluster without forestall; default: a new control plane"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/safety.json"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    result = json.loads(options.output.read_text()) if options.only and options.output.exists() else {}
    with open_environment(options.kubeconfig) as environment:
        for name in options.only or MEASURES:
            began = time.monotonic()
            result[name] = asyncio.run(MEASURES[name](environment, quick=options.quick))
            result[name] |= {"quick": options.quick, "wallSeconds": round(time.monotonic() - began)}
            result["machine"] = {"cores": os.cpu_count(), "python": platform.python_version()}
            options.output.write_text(json.dumps(result, indent=1) + "\n")
            print(f"\n{name}")
            _print(result[name])
    print(f"\nwritten to {options.output}")
    sys.exit(0 if all(result[name]["holds"] for name in options.only or MEASURES) else 1)


def _print(figures: Mapping[str, Any], path: str = "") -> None:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            _print(value, f"{path}{name} ")
        elif isinstance(value, list):
            for row in value:
                print(f"  {_line(row)}")
        else:
            print(f"  {path + name:60} {value}")


def _line(row: Any) -> str:
    """Return a case of a table, or another value, as a line."""
    if not isinstance(row, Mapping):
        return f"- {row}"
    return f"{'+' if row['asItShould'] else '-'} {row['case']}: {row['refusedBy']}"


if __name__ == "__main__":
    main()
