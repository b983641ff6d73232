"""`python -m benchmarks.queries`: the cost of all queries of a cycle on a real Prometheus, as JSON.

Objectives have a ratio of counters over a short and a long window, and one leading indicator; each query has a
freshness query. The same queries run joined and one by one in the same run, on the same machine, and with and without
the question for the age of each series of the leading indicators.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from forestall.adapters.http import Endpoint
from forestall.adapters.prometheus import PrometheusMetrics, SourceConfig
from forestall.adapters.prometheus.connection import THREADS
from forestall.adapters.prometheus.question import RequestLimits
from forestall.core import promql
from forestall.core.promql import packing
from forestall.devcluster.programs import find_programs
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.remote_write import Series
from forestall.devcluster.workspace import Workspace
from forestall.ports import FreshnessRequirements, Query, QueryFailure

STEP = 15.0
HOURS = 2.0
POINTS = 720
"""Points of the backfill of a new series."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objectives", type=int, default=1000)
    parser.add_argument("--cycles", type=int, default=7)
    parser.add_argument("--joined", type=int, nargs="+", default=[1, 10, 50, 250])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/queries.json"))
    chosen = parser.parse_args()
    with Workspace("bench") as workspace, PrometheusServer(workspace, find_programs(["prometheus"])) as server:
        now = time.time()
        server.write(series(chosen.objectives, now))
        result = asyncio.run(measure(server, chosen.objectives, chosen.joined, chosen.cycles, now))
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def series(objectives: int, now: float) -> Iterator[Series]:
    """Yield the counters by code and the gauges of two pods of each workload."""
    times = now - STEP * np.arange(HOURS * 3600 / STEP, -1, -1)
    steps = np.arange(times.size, dtype=float)
    rng = np.random.default_rng(1)
    for number in range(objectives):
        for pod in "ab":
            labels = {"namespace": f"team-{number % 50}", "app": f"app-{number}", "pod": f"app-{number}-{pod}"}
            for code, share in (("200", 50.0), ("500", 0.1)):
                yield Series({"__name__": "http_requests_total", "code": code, **labels}, times, steps * share)
            yield Series({"__name__": "queue_length", **labels}, times, rng.poisson(10, times.size))


def queries(objectives: int) -> list[Query]:
    """Return the queries of one cycle: two windows of the SLI, and a leading indicator of each objective."""
    result = []
    for number in range(objectives):
        name = f'http_requests_total{{app="app-{number}"'
        bad, total = f'{name},code=~"5.."}}', f"{name}}}"
        texts = [promql.error_ratio_of_counters(bad=bad, total=total, window=window) for window in ("5m", "1h")]
        texts.append(f'sum by (pod) (queue_length{{app="app-{number}"}})')
        for index, text in enumerate(texts):
            result.append(Query((number, index), promql.enforce_label(text, "namespace", f"team-{number % 50}")))
    return result


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of the queries of one cycle."""

    wall_s: float
    client_cpu_s: float
    prometheus_cpu_s: float
    requests: int


async def measure(
    server: PrometheusServer, objectives: int, joined: list[int], cycles: int, now: float
) -> dict[str, object]:
    """Return the cost of all queries, by the number of queries in a request."""
    (prometheus,) = (child for child in psutil.Process().children(recursive=True) if child.name() == "prometheus")
    all_queries = queries(objectives)
    result: dict[str, object] = {
        "objectives": objectives,
        "queries": len(all_queries),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "checking_s": round(_seconds_to_check(all_queries), 3),
    }
    medians: dict[int, dict[str, float]] = {}
    for batch in joined:
        requests: list[str] = []
        metrics = PrometheusMetrics(budget=120, pace=RequestLimits(batch, THREADS), on_request=requests.append)
        metrics.set_sources({"bench": SourceConfig(Endpoint(server.url))})
        costs = [await _cycle(metrics, prometheus, all_queries, now, requests) for _ in range(cycles)][1:]
        await metrics.close()
        medians[batch] = {
            name: round(statistics.median(getattr(cost, name) for cost in costs), 4) for name in Cost.__slots__
        }
        result[f"joined_{batch}"] = medians[batch]
    if 1 in medians and 50 in medians:
        result["one_by_one_over_joined_50"] = {
            name: round(value / medians[50][name], 1) for name, value in medians[1].items()
        }
    result["with_age_over_without"] = await _with_age_over_without(server, prometheus, objectives, cycles, now)
    result["backfill_of_100"] = await _backfill(server, all_queries[::3][:100], now)
    result["rss_mib"] = round(psutil.Process().memory_info().rss / 2**20, 1)
    return result


async def _with_age_over_without(
    server: PrometheusServer, prometheus: psutil.Process, objectives: int, cycles: int, now: float
) -> dict[str, dict[str, float]]:
    """Return what asking each series of a leading indicator for its age costs, in turns with not asking.

    Of the leading indicators alone, and of all queries of a cycle.
    """
    ratios: dict[str, dict[str, float]] = {}
    for name, chosen in (("leading", queries(objectives)[2::3]), ("all", queries(objectives))):
        aged = [
            replace(query, freshness=FreshnessRequirements(each_series=True)) if "queue_length" in query.expr else query
            for query in chosen
        ]
        requests: list[str] = []
        metrics = PrometheusMetrics(budget=120, on_request=requests.append)
        metrics.set_sources({"bench": SourceConfig(Endpoint(server.url))})
        costs: list[tuple[Cost, Cost]] = []
        for _ in range(cycles):
            without = await _cycle(metrics, prometheus, chosen, now, requests)
            costs.append((without, await _cycle(metrics, prometheus, aged, now, requests)))
        await metrics.close()
        medians = {
            field: [statistics.median(getattr(pair[index], field) for pair in costs[1:]) for index in (0, 1)]
            for field in ("client_cpu_s", "prometheus_cpu_s")
        }
        ratios[name] = {field: round(after / max(before, 1e-9), 2) for field, (before, after) in medians.items()}
    return ratios


def _seconds_to_check(all_queries: list[Query]) -> float:
    """Return the CPU seconds to check all queries, which happens once for each text."""
    packing.prepare.cache_clear()
    began = time.process_time()
    for query in all_queries:
        promql.prepare(query.expr)
    return time.process_time() - began


async def _cycle(
    metrics: PrometheusMetrics, prometheus: psutil.Process, all_queries: list[Query], now: float, requests: list[str]
) -> Cost:
    requests.clear()
    wall, own_cpu, prometheus_cpu = time.perf_counter(), time.process_time(), sum(prometheus.cpu_times()[:2])
    answers = await metrics.instant("bench", all_queries, now)
    cost = Cost(
        time.perf_counter() - wall,
        time.process_time() - own_cpu,
        sum(prometheus.cpu_times()[:2]) - prometheus_cpu,
        len(requests),
    )
    for answer in answers.values():
        assert not isinstance(answer, QueryFailure), answer
        assert answer.samples
        assert answer.newest is not None
    return cost


async def _backfill(server: PrometheusServer, all_queries: list[Query], now: float) -> dict[str, float]:
    metrics = PrometheusMetrics(budget=120)
    metrics.set_sources({"bench": SourceConfig(Endpoint(server.url))})
    wall, own_cpu = time.perf_counter(), time.process_time()
    answers = await metrics.range("bench", all_queries, now - 10 * (POINTS - 1), now, 10)
    cost = {"wall_s": time.perf_counter() - wall, "client_cpu_s": time.process_time() - own_cpu}
    await metrics.close()
    points = sum(
        len(range_series.times)
        for answer in answers.values()
        if not isinstance(answer, QueryFailure)
        for range_series in answer
    )
    return {**{name: round(value, 4) for name, value in cost.items()}, "points": points}


if __name__ == "__main__":
    main()
