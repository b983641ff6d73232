"""`python -m benchmarks.start`: the time to learn all histories from a real Prometheus after a start, as JSON.

Prometheus has a day of points for every series. The engine runs cycles as the operator does, but without pauses and
with an empty memory: it fetches the histories by range queries and learns until nothing is left. At the end the
forecasts are compared with those of a second start, which must be the same.
"""

import argparse
import asyncio
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from forestall.adapters.http import Endpoint
from forestall.adapters.prometheus import PrometheusMetrics, SourceConfig
from forestall.api import API_VERSION
from forestall.backtest.history_cluster import HistoryCluster
from forestall.core.risk import SLI
from forestall.devcluster.programs import find_programs
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.remote_write import Series
from forestall.devcluster.workspace import Workspace
from forestall.engine import Engine, Settings
from forestall.inputs.manifests import Manifest, build_registry

PODS = 20
"""Series of each objective."""
SOURCE = "default"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/start.json"))
    chosen = parser.parse_args()
    settings = Settings()
    objectives = math.ceil(chosen.series / PODS)
    with Workspace("bench") as workspace, PrometheusServer(workspace, find_programs(["prometheus"])) as server:
        now = settings.interval * math.floor(time.time() / settings.interval)
        began = time.perf_counter()
        server.write(series(objectives, now, settings))
        filled = time.perf_counter() - began
        result = asyncio.run(measure(server, objectives, now, settings))
    result = {"fill_s": round(filled, 1), **result}
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def series(objectives: int, now: float, settings: Settings) -> Iterator[Series]:
    """Yield a gauge of every pod with a random walk on a daily wave."""
    times = now - settings.interval * np.arange(settings.columns, -1, -1)
    wave = np.sin(2 * np.pi * times / 86400)
    rng = np.random.default_rng(1)
    for number in range(objectives):
        for pod in range(PODS):
            walk = np.cumsum(rng.normal(0, 0.02, times.size))
            labels = {"__name__": "memory_share", "app": f"app-{number}", "pod": f"app-{number}-{pod}"}
            yield Series({**labels, "namespace": "default"}, times, np.round(wave + walk, 4))


def _objective(number: int) -> Manifest:
    leading = {
        "name": "memory",
        "query": f'memory_share{{app="app-{number}"}}',
        "per": "pod",
        "limit": 4,
        "horizon": "30m",
    }
    spec = {
        "target": {"name": f"app-{number}"},
        "indicator": {"raw": {"errorRatio": f'errors{{app="app-{number}"}}'}},
        "objective": 99,
        "leadingIndicators": [leading],
        "source": SOURCE,
    }
    meta = {"name": f"app-{number}", "namespace": "default"}
    body = {"apiVersion": API_VERSION, "kind": "ServiceLevelObjective", "metadata": meta, "spec": spec}
    return Manifest(body, f"objective {number}")


async def measure(server: PrometheusServer, objectives: int, now: float, settings: Settings) -> dict[str, Any]:
    """Start twice, and return the cost of the first start and the difference of the forecasts."""
    (prometheus,) = (child for child in psutil.Process().children(recursive=True) if child.name() == "prometheus")
    manifests = [_objective(number) for number in range(objectives)]
    cost, first = await _start(server, manifests, now, settings, prometheus)
    _, second = await _start(server, manifests, now, settings, prometheus)
    return {
        "series": len(first),
        "points": len(first) * settings.columns,
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        **cost,
        "largest_difference_of_a_second_start": max(abs(first[key] - second[key]) for key in first),
    }


async def _start(
    server: PrometheusServer, manifests: list[Manifest], now: float, settings: Settings, prometheus: psutil.Process
) -> tuple[dict[str, float], dict[Any, float]]:
    metrics = PrometheusMetrics(budget=120)
    metrics.set_sources({SOURCE: SourceConfig(Endpoint(server.url))})
    engine = Engine(metrics, HistoryCluster(1), build_registry(manifests, "default", 3600), settings)
    wall, own_cpu, prometheus_cpu = time.perf_counter(), time.process_time(), sum(prometheus.cpu_times()[:2])
    report = await engine.cycle(now, leading=False)
    first_cycle, cycles = time.perf_counter() - wall, 1
    while report.waiting:
        report = await engine.cycle(now, leading=False)
        cycles += 1
    cost = {
        "wall_s": time.perf_counter() - wall,
        "first_cycle_s": first_cycle,
        "cycles": cycles,
        "cpu_s": time.process_time() - own_cpu,
        "prometheus_cpu_s": sum(prometheus.cpu_times()[:2]) - prometheus_cpu,
        "rss_mib": psutil.Process().memory_info().rss / 2**20,
    }
    await metrics.close()
    probabilities = {
        (uid, signal.indicator, signal.labels): signal.probability()
        for uid, findings in report.findings.items()
        for signal in findings.signals
        if signal.indicator != SLI
    }
    assert len(probabilities) == len(manifests) * PODS, len(probabilities)
    assert all(map(math.isfinite, probabilities.values()))
    return {name: round(value, 2) for name, value in cost.items()}, probabilities


if __name__ == "__main__":
    main()
