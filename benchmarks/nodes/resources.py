"""What a replica of the operator takes on a real node: memory and CPU time, as leader and as standby."""

import json
import math
import re
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from benchmarks.cycle.fleet import PAST_STEP, Fleet, objective, source, workloads
from benchmarks.nodes.environment import OPERATOR, NodesBench, until

from forestall.devcluster.repeating import repeatedly

MIB = 2**20
SIZES = (1, 100, 1000)
LEADING = 2
"""Leading indicators of each objective."""
SETTLE_S, MEASURE_S = 30.0, 120.0
_LEARN_S = 900.0
_LIVING_S = 10.0


def measure(bench: NodesBench, sizes: Sequence[int]) -> dict[str, Any]:
    """Return the figures of a replica with so many objectives, the fewest first."""
    fleet = Fleet(max(sizes), time.time())
    bench.prometheus.write(fleet.until(time.time(), PAST_STEP))
    result: dict[str, Any] = {"leadingIndicators": LEADING, "intervalSeconds": 30, "objectives": {}}
    bench.cluster.apply(source(bench.prometheus.pod_url))
    with _living(bench, fleet):
        _create(bench, list(workloads(max(sizes))))
        declared = 0
        for size in sizes:
            _create(bench, [objective(number, LEADING) for number in range(declared, size)])
            declared = size
            result["objectives"][str(size)] = _replicas(bench, size)
            print(json.dumps({size: result["objectives"][str(size)]}), flush=True)
    largest = result["objectives"][str(sizes[-1])]
    result["limitMib"] = _limit_mib(bench)
    result["holds"] = all(
        replica["learned"] and not replica["restarts"] and replica["peakMib"] < 0.8 * result["limitMib"]
        for replica in largest.values()
    )
    return result


def _replicas(bench: NodesBench, size: int) -> dict[str, Any]:
    """Start both replicas anew with so many objectives, and return what each takes."""
    restart = ("rollout", "restart", "deployment/forestall", "-n", OPERATOR)
    bench.cluster.kubectl(*restart)
    wait = ("rollout", "status", "deployment/forestall", "-n", OPERATOR, "--timeout=900s")
    bench.cluster.kubectl(*wait, timeout_s=910)
    began = time.monotonic()
    peaks: dict[str, float] = {}

    def learned() -> bool:
        _sample(bench, peaks)
        return _forecasts(bench, _leader(bench)) >= math.ceil(0.98 * size)

    complete = until(learned, _LEARN_S, 5.0)
    learned_s = time.monotonic() - began
    _keep_sampling(bench, peaks, SETTLE_S)
    before = {pod: _cpu_s(bench, pod) for pod in _pods(bench)}
    started = time.monotonic()
    _keep_sampling(bench, peaks, MEASURE_S)
    passed = time.monotonic() - started
    leader = _leader(bench)
    figures = {}
    for pod in _pods(bench):
        values = _memory(bench)
        figures["leader" if pod == leader else "standby"] = {
            "workingSetMib": round(values.get(pod, math.nan)),
            "peakMib": round(max(peaks.get(pod, math.nan), _highest(bench, pod))),
            "cpuSecondsPerMinute": round((_cpu_s(bench, pod) - before.get(pod, math.nan)) / passed * 60, 2),
            "cpuSecondsSinceStart": round(_cpu_s(bench, pod)),
            "learned": complete,
            "learnedAfterSeconds": round(learned_s),
            "restarts": _restarts(bench, pod),
        }
    return figures


def _pods(bench: NodesBench) -> list[str]:
    bodies = bench.cluster.items("pods", OPERATOR)
    return [body["metadata"]["name"] for body in bodies if not body["metadata"].get("deletionTimestamp")]


def _leader(bench: NodesBench) -> str:
    holder = bench.cluster.get("lease", "forestall", OPERATOR)["spec"].get("holderIdentity") or ""
    return next((pod for pod in _pods(bench) if pod in holder), "")


def _restarts(bench: NodesBench, pod: str) -> int:
    statuses = bench.cluster.get("pod", pod, OPERATOR)["status"]["containerStatuses"]
    return sum(int(status["restartCount"]) for status in statuses)


def _cgroup(bench: NodesBench, pod: str, metric: str) -> float:
    """Return a metric of the pod's container, from its node's kubelet itself: Prometheus may be 15 s late."""
    node = bench.cluster.get("pod", pod, OPERATOR)["spec"]["nodeName"]
    path = f"/api/v1/nodes/{node}/proxy/metrics/cadvisor"
    printed = bench.cluster.kubectl("get", "--raw", path).stdout
    values = [
        float(line.rsplit("} ", 1)[1].split()[0])
        for line in printed.splitlines()
        if line.startswith(f"{metric}{{") and f'pod="{pod}"' in line and 'container="forestall"' in line
    ]
    return max(values, default=math.nan)


def _cpu_s(bench: NodesBench, pod: str) -> float:
    return _cgroup(bench, pod, "container_cpu_usage_seconds_total")


def _highest(bench: NodesBench, pod: str) -> float:
    """Return the most that its group ever used (MiB), the files it read included."""
    return _cgroup(bench, pod, "container_memory_max_usage_bytes") / MIB


def _memory(bench: NodesBench) -> dict[str, float]:
    query = f'container_memory_working_set_bytes{{namespace="{OPERATOR}",container="forestall"}}'
    return {series["metric"]["pod"]: float(series["value"][1]) / MIB for series in bench.query(query)}


def _sample(bench: NodesBench, peaks: dict[str, float]) -> None:
    for pod, mib in _memory(bench).items():
        peaks[pod] = max(mib, peaks.get(pod, 0.0))


def _keep_sampling(bench: NodesBench, peaks: dict[str, float], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _sample(bench, peaks)
        time.sleep(5.0)


def _forecasts(bench: NodesBench, pod: str) -> int:
    if not pod:
        return 0
    path = f"/api/v1/namespaces/{OPERATOR}/pods/{pod}:8080/proxy/metrics"
    printed = bench.cluster.kubectl("get", "--raw", path, check=False).stdout
    return len(re.findall(r"^forestall_breach_probability\{", printed, re.MULTILINE))


def _limit_mib(bench: NodesBench) -> float:
    (container,) = bench.cluster.get("deployment", "forestall", OPERATOR)["spec"]["template"]["spec"]["containers"]
    return float(container["resources"]["limits"]["memory"].removesuffix("Mi"))


def _living(bench: NodesBench, fleet: Fleet) -> AbstractContextManager[None]:
    """Continue all series during the body."""
    return repeatedly(_LIVING_S, lambda: bench.prometheus.write(fleet.until(time.time(), PAST_STEP)))


def _create(bench: NodesBench, bodies: list[dict[str, Any]]) -> None:
    """Create many objects, which may take long on a busy machine."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    bench.cluster.kubectl("create", "-f", "-", stdin=listed, timeout_s=600)
