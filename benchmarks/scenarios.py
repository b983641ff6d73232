"""Lead time, bad minutes and replica-minutes of the demo's scenarios, without and with the operator, over several runs.

    python -m benchmarks.scenarios --runs 5

A run on a machine that is too busy stays in the file, marked as invalid; it does not count, and is repeated at most
once.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console

from forestall.demo.runner import compare_runs
from forestall.demo.scenarios import SCENARIOS, Scenario


def main() -> None:
    """Run the scenarios, and write the figures after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="only this one; may be repeated")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/scenarios.json"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[dict[str, Any]]] = {}
    for name in options.scenario or SCENARIOS:
        results[name] = []
        valid = 0
        for _ in range(2 * options.runs):
            if valid == options.runs:
                break
            results[name].append(_run(SCENARIOS[name]))
            valid += results[name][-1]["valid"]
            options.output.write_text(json.dumps(_report(results), indent=2) + "\n")
    succeeded = all(_holds(runs, options.runs) for runs in results.values())
    print(json.dumps(_report(results)["summary"], indent=2))
    sys.exit(0 if succeeded else 1)


def _run(scenario: Scenario) -> dict[str, Any]:
    began = time.monotonic()
    result = compare_runs(scenario, Console(stderr=True)).as_json()
    return {**result, "wallSeconds": round(time.monotonic() - began, 1), "load": round(os.getloadavg()[0], 2)}


def _report(results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    return {"machine": machine, "summary": {name: _summary(runs) for name, runs in results.items()}, "runs": results}


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    valid = [run for run in runs if run["valid"]]
    if not valid:
        return {"valid": 0, "invalid": len(runs)}
    lead = [run["leadTimeSeconds"] for run in valid if run["leadTimeSeconds"] is not None]
    return {
        "valid": len(valid),
        "invalid": len(runs) - len(valid),
        "prevented": sum(run["prevented"] for run in valid),
        "badMinutesWithout": [round(run["without"]["badMinutes"]) for run in valid],
        "badMinutesWith": [round(run["with"]["badMinutes"]) for run in valid],
        "replicaHoursWithout": round(mean(run["without"]["replicaHours"] for run in valid), 1),
        "replicaHoursWith": round(mean(run["with"]["replicaHours"] for run in valid), 1),
        "leadTimeSeconds": {"least": round(min(lead), 1), "mean": round(mean(lead), 1)} if lead else None,
    }


def _holds(runs: list[dict[str, Any]], wanted: int) -> bool:
    valid = [run for run in runs if run["valid"]]
    return len(valid) >= wanted and all(run["prevented"] for run in valid)


if __name__ == "__main__":
    main()
