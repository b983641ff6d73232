"""Workloads with objectives, and their series."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from forestall.devcluster.remote_write import Series

API = "forestall.dev/v1alpha1"
NAMESPACES = 20
TROUBLED = 50
"""One workload of this many is past its limits."""
DAY = 86400.0
PAST_S = 8.2 * 3600
PAST_STEP = 30.0
GAUGES = ("queue_length", "connections")
"""The metrics of the first and the second leading indicator."""


class Fleet:
    """The series of `size` workloads: counters of requests by code, and gauges."""

    def __init__(self, size: int, began: float) -> None:
        self._rng = np.random.default_rng(1)
        self._rate = self._rng.uniform(5, 200, size)
        self._phase = self._rng.uniform(0, 2 * math.pi, size)
        self._level = np.where(np.arange(size) % TROUBLED == 0, 150.0, 40.0)
        self._counts = np.zeros((2, size))
        self._at = began - PAST_S

    def until(self, now: float, step: float) -> Iterator[Series]:
        """Yield the continuation of all series until `now` (s), with a point every `step` seconds."""
        times = np.arange(self._at + step, now, step) if now - self._at > 2 * step else np.array([now])
        passed = np.diff(times, prepend=self._at)
        self._at = float(times[-1])
        for number, rate in enumerate(self._rate):
            wave = 1 + 0.3 * np.sin(2 * math.pi * times / DAY + self._phase[number])
            labels = {"namespace": namespace_of(number), "app": app(number)}
            for row, (code, share) in enumerate((("200", 1.0), ("500", 0.0005))):
                counts = self._counts[row, number] + np.cumsum(self._rng.poisson(rate * share * wave * passed))
                self._counts[row, number] = counts[-1]
                yield Series({"__name__": "http_requests_total", "code": code, **labels}, times, counts)
            for name in GAUGES:
                values = self._level[number] * wave * self._rng.uniform(0.9, 1.1, times.size)
                yield Series({"__name__": name, **labels}, times, values)


def namespace_of(number: int) -> str:
    """Return the namespace of a workload."""
    return f"team-{number % NAMESPACES}"


def namespaces() -> list[str]:
    """Return all namespaces."""
    return [namespace_of(number) for number in range(NAMESPACES)]


def app(number: int) -> str:
    """Return the name of a workload."""
    return f"app-{number}"


def workloads(size: int) -> Iterator[dict[str, Any]]:
    """Yield namespaces with a policy each, and workloads without pods."""
    for namespace in namespaces():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    for number in range(size):
        labels = {"app": app(number)}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app"}]}}
        yield {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": app(number), "namespace": namespace_of(number)},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
        }
    for namespace in namespaces():
        yield {
            "apiVersion": API,
            "kind": "RemediationPolicy",
            "metadata": {"name": "scale", "namespace": namespace},
            "spec": {
                "mode": "Observe",
                "objectives": {"matchLabels": {"tier": "web"}},
                "actions": [{"scale": {"maxReplicas": 10, "capacity": {"type": "Proportional"}}}],
            },
        }


def source(url: str) -> dict[str, Any]:
    """Return the metric source that all objectives use."""
    spec = {"url": url, "enforceLabel": "namespace"}
    return {"apiVersion": API, "kind": "MetricSource", "metadata": {"name": "default"}, "spec": spec}


def objective(number: int, leading: int) -> dict[str, Any]:
    """Return an objective with `leading` leading indicators."""
    total = f'http_requests_total{{app="{app(number)}"'
    return {
        "apiVersion": API,
        "kind": "ServiceLevelObjective",
        "metadata": {"name": app(number), "namespace": namespace_of(number), "labels": {"tier": "web"}},
        "spec": {
            "target": {"name": app(number)},
            "indicator": {"ratio": {"bad": f'{total},code=~"5.."}}', "total": f"{total}}}"}},
            "objective": 99.5,
            "window": "6h",
            "leadingIndicators": [
                {
                    "name": name.replace("_", "-"),
                    "query": f'sum({name}{{app="{app(number)}"}})',
                    "limit": 100,
                    "horizon": "10m",
                }
                for name in GAUGES[:leading]
            ],
        },
    }
