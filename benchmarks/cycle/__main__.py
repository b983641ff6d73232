"""`python -m benchmarks.cycle`: the cost of a cycle over a thousand objectives, as a table and as JSON.

The operator is the real process with the permissions of the chart's ServiceAccount, on a real control plane with as
many workloads as objectives, and a real Prometheus whose series have a history and continue during the cycles. One
workload in fifty is past its limit. The time of a cycle depends on the machine, so the output has ratios as well.
"""

import argparse
import asyncio
import json
import math
import os
import re
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import orjson
import psutil
import requests
from benchmarks.cycle.fleet import API, PAST_STEP, Fleet, namespaces, objective, source, workloads
from benchmarks.cycle.observed import Operator, Reading

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import MetricSource, ServiceLevelObjective
from forestall.core import promql
from forestall.devcluster.controlplane import ControlPlane
from forestall.devcluster.ports import free_ports
from forestall.devcluster.programs import find_programs
from forestall.devcluster.progress import Steps
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.repeating import repeatedly
from forestall.engine.indicator_queries import plan_queries

ROOT = Path(__file__).resolve().parents[2]
_OWN = frozenset({"GET deployments", "LIST deployments", "POST events", "PATCH events"})
"""Requests about foreign objects that only the operator makes here."""
OPERATOR = "forestall-system"
SETTLING = 4
"""Cycles after learning that are not measured: they write the first statuses and Events."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objectives", type=int, default=1000)
    parser.add_argument("--leading", type=int, nargs="+", choices=(1, 2), default=[1, 2], help="leading indicators")
    parser.add_argument("--interval", type=int, default=10, help="seconds from one cycle to the next")
    parser.add_argument("--cycles", type=int, default=4, help="how many are measured")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/cycle.json"))
    chosen = parser.parse_args()
    result: dict[str, Any] = {
        "objectives": chosen.objectives,
        "interval_s": chosen.interval,
        "cpus": os.cpu_count(),
        "load_before": os.getloadavg()[0],
    }
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    with Bench(chosen.objectives, chosen.interval) as bench:
        for leading in chosen.leading:
            result[f"leading_{leading}"] = bench.measure(leading, chosen.cycles)
            chosen.output.write_text(json.dumps(result, indent=1) + "\n")
    _print(result, chosen.leading)
    print(f"\nwritten to {chosen.output}")


class Bench:
    """A control plane with workloads, a Prometheus with their series, and the chart."""

    def __init__(self, size: int, interval: int) -> None:
        self._size = size
        self._interval = interval
        self._closing = ExitStack()
        self._steps = Steps()

    def __enter__(self) -> Self:
        """Start everything and create the objects."""
        with ExitStack() as closing:
            programs = find_programs()
            with self._steps.step("start a control plane and Prometheus"):
                self._cluster = closing.enter_context(ControlPlane(programs, nodes=1))
                # All of the past stays in memory, so that no compaction falls into what is measured.
                flags = ("--storage.tsdb.min-block-duration=2d", "--storage.tsdb.max-block-duration=2d")
                server = PrometheusServer(self._cluster.workspace, programs, past_days=2, flags=flags)
                self._prometheus = closing.enter_context(server)
            with self._steps.step("install the chart, make the workloads"):
                chart = ("install", "forestall", ROOT / "charts" / "forestall")
                image = ("--set", "image.repository=forestall")
                self._cluster.helm(*chart, "--namespace", OPERATOR, "--create-namespace", *image)
                asyncio.run(self._create(list(workloads(self._size))))
            with self._steps.step("write the past of their series"):
                self._fleet = Fleet(self._size, time.time())
                self._prometheus.write(self._fleet.until(time.time(), PAST_STEP))
            closing.enter_context(self._living())
            self._servers = self._find_servers()
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop everything."""
        self._closing.close()

    def measure(self, leading: int, cycles: int) -> dict[str, Any]:
        """Return the cost of cycles with `leading` leading indicators for each objective."""
        bodies = [objective(number, leading) for number in range(self._size)]
        with self._steps.step(f"declare objectives with {leading} leading indicators"):
            for namespace in namespaces():
                path = f"/apis/{API}/namespaces/{namespace}/servicelevelobjectives"
                self._cluster.kubectl("delete", "--raw", path)  # all at once, and not one after the other
            self._cluster.apply(source(self._prometheus.url))
            asyncio.run(self._create(bodies))
        result: dict[str, Any] = count_queries(bodies, self._interval)
        with self._operator(leading) as operator:
            with self._steps.step("first cycle"):
                first = operator.until(cycles=1, interval_s=0.1)
            with self._steps.step("learn the past"):
                learned = operator.until(forecasts=math.ceil(0.98 * self._size))
            start_up, transitions = operator.longest_wait, self._transitions()
            with self._steps.step("settle"):
                begin = operator.until(cycles=learned.cycles + SETTLING)
            operator.longest_wait = 0.0
            written = self._requests()
            with self._steps.step("measure"):
                end = operator.until(cycles=begin.cycles + cycles)
            written = self._requests() - written
            result |= {
                "to_first_cycle_s": first.at - operator.began,
                "to_learned_s": learned.at - operator.began,
                "cpu_to_learned_s": learned.cpu_s,
                "longest_probe_to_learned_s": start_up,
                **self._per_cycle(begin, end, written),
                "longest_probe_s": operator.longest_wait,
                "rss_mib": end.rss_mib,
                "cycles_failed": end.failed,
                "leader_throughout": learned.leads and begin.leads and end.leads and self._transitions() == transitions,
                "states": self._states(),
            }
        parse = self._parse_s(result["queries"])
        result["cycle_cpu_over_parsing_one_answer"] = result["cpu_s"] / parse
        result["queries_over_requests"] = result["queries"] / result["requests"]
        return _rounded(result)

    def _per_cycle(self, begin: Reading, end: Reading, written: Counter[str]) -> dict[str, Any]:
        cycles = end.cycles - begin.cycles
        return {
            "wall_s": (end.cycle_s - begin.cycle_s) / cycles,
            "cpu_s": (end.cpu_s - begin.cpu_s) / cycles,
            "prometheus_cpu_s": (end.prometheus_cpu_s - begin.prometheus_cpu_s) / cycles,
            "api_server_cpu_s": (end.api_server_cpu_s - begin.api_server_cpu_s) / cycles,
            "requests": (end.requests - begin.requests) / cycles,
            "api_requests": {request: count / cycles for request, count in sorted(written.items())},
        }

    @contextmanager
    def _operator(self, leading: int) -> Iterator[Operator]:
        kubeconfig = self._cluster.kubeconfig_for(OPERATOR, "forestall")
        (port,) = free_ports(1)
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "forestall",
            "run",
            "--kubeconfig",
            kubeconfig,
            "--namespace",
            OPERATOR,
        ]
        command += ["--interval", f"{self._interval}s", "--listen", f"127.0.0.1:{port}", "--log-format", "json"]
        name = f"operator-{leading}"
        process = self._cluster.workspace.start(name, command)
        operator = Operator(process, port, self._servers)
        prober = threading.Thread(target=operator.probe, daemon=True)
        prober.start()
        try:
            yield operator
        except BaseException:
            print(self._cluster.workspace.last_words(name), file=sys.stderr)
            raise
        finally:
            operator.end()
            prober.join()
            self._cluster.workspace.stop(process)

    def _living(self) -> AbstractContextManager[None]:
        """Continue all series during the body."""
        return repeatedly(self._interval / 2, lambda: self._prometheus.write(self._fleet.until(time.time(), PAST_STEP)))

    async def _create(self, bodies: list[dict[str, Any]]) -> None:
        access = await Access.find(str(self._cluster.kubeconfig))
        at_once = asyncio.Semaphore(8)
        async with Api(access) as api:
            cluster = KubernetesCluster(api, Recorder(api, "bench"), "default")

            async def create(body: dict[str, Any]) -> None:
                async with at_once:
                    await cluster.create(body)

            for kind in dict.fromkeys(body["kind"] for body in bodies):
                await asyncio.gather(*(create(body) for body in bodies if body["kind"] == kind))

    def _find_servers(self) -> tuple[psutil.Process, ...]:
        """Return the processes of Prometheus and the API server."""
        folder = str(self._cluster.workspace.path)
        servers = {
            process.info["name"]: process
            for process in psutil.process_iter(["name", "cmdline"])
            if process.info["name"] in ("prometheus", "kube-apiserver")
            and folder in " ".join(process.info["cmdline"] or [])
        }
        return servers["prometheus"], servers["kube-apiserver"]

    def _requests(self) -> Counter[str]:
        """Return the API server's counts of the requests that only the operator makes."""
        counts: Counter[str] = Counter()
        for line in self._cluster.kubectl("get", "--raw", "/metrics").stdout.splitlines():
            if line.startswith("apiserver_request_total{"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
                verb, resource = labels["verb"], labels["resource"]
                is_own = labels["group"] == "forestall.dev" or f"{verb} {resource}" in _OWN
                if is_own and verb != "WATCH":
                    path = f"{resource}/{labels['subresource']}".rstrip("/")
                    counts[f"{verb} {path}"] += int(float(line.rsplit(" ", 1)[1]))
        return counts

    def _transitions(self) -> int:
        return int(self._cluster.get("lease", "forestall", OPERATOR)["spec"].get("leaseTransitions", 0))

    def _states(self) -> dict[str, int]:
        listed = self._cluster.kubectl("get", "servicelevelobjectives", "-A", "-o", "json").stdout
        return Counter(body.get("status", {}).get("state", "none") for body in json.loads(listed)["items"])

    def _parse_s(self, series: int) -> float:
        """Return the CPU seconds to parse one instant query response with `series` series."""
        answer = requests.get(f"{self._prometheus.url}/api/v1/query", params={"query": '{app!=""}'}, timeout=30)
        size = len(orjson.loads(answer.content)["data"]["result"])
        durations = []
        for _ in range(9):
            began = time.thread_time()
            orjson.loads(answer.content)
            durations.append(time.thread_time() - began)
        return statistics.median(durations) / size * series


def count_queries(bodies: list[dict[str, Any]], interval: float) -> dict[str, int]:
    """Return the number of queries of a cycle, without those of whole windows; each returns one series."""
    metric_source = MetricSource.read(source("http://localhost"))
    texts: set[str] = set()
    for body in bodies:
        plan = plan_queries(ServiceLevelObjective.read(body), metric_source, interval)
        for query in (*(indicator_query.query for indicator_query in plan.watched), plan.long):
            prepared = promql.prepare(query.expr)
            texts |= {prepared.text, *map(promql.freshness_query, prepared.freshness.selectors)}
    return {"queries": len(texts)}


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, 3) if isinstance(value, float) else _rounded(value) if isinstance(value, dict) else value
        for name, value in values.items()
    }


def _print(result: dict[str, Any], variants: list[int]) -> None:
    """Print the figures, a column for each number of leading indicators."""
    columns = [result[f"leading_{leading}"] for leading in variants]
    print(f"\n{result['objectives']} objectives, a cycle every {result['interval_s']} s")
    print(f"{'leading indicators of each':40}" + "".join(f"{leading:>14}" for leading in variants))
    for name in columns[0]:
        if isinstance(columns[0][name], dict):
            for key in sorted(set().union(*(column[name] for column in columns))):
                print(f"  {name + ': ' + key:38}" + "".join(f"{column[name].get(key, 0):>14}" for column in columns))
        else:
            print(f"{name:40}" + "".join(f"{column[name]!s:>14}" for column in columns))


if __name__ == "__main__":
    main()
