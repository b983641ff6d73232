"""A load that a test chooses, and the objects by which the operator scales a Deployment for it, and back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.remote_write import Series
from forestall.devcluster.repeating import repeatedly

API = "forestall.dev/v1alpha1"
CALM, HIGH = 50.0, 135.0
"""Loads of which a Deployment of two replicas carries the first, and the second takes three."""
PER_REPLICA = 50
LIMIT = 100


class Load:
    """The gauge ``load`` of a namespace in a Prometheus, written every second while it is live."""

    def __init__(self, server: PrometheusServer, namespace: str) -> None:
        self.value = CALM
        self._server = server
        self._labels = {"__name__": "load", "namespace": namespace}

    @contextmanager
    def live(self) -> Iterator[Self]:
        """Write the load during the body, and at its beginning ten minutes of its past."""
        now = time.time()
        self._server.write([Series(self._labels, [now - age for age in range(600, 0, -1)], [self.value] * 600)])
        with repeatedly(1, self._write):
            yield self

    def _write(self) -> None:
        self._server.write([Series(self._labels, [time.time()], [self.value])])


def metric_source(name: str, url: str) -> dict[str, Any]:
    """Return a MetricSource that every namespace may use."""
    return _object("MetricSource", name, {"url": url, "timeout": "5s", "staleAfter": "1m"})


def scaling_objects(namespace: str, source: str, **policy: Any) -> list[dict[str, Any]]:
    """Return an objective on the load of the Deployment ``app``, and a policy that scales it to three and back."""
    load = {"name": "load", "query": f'sum(load{{namespace="{namespace}"}})', "limit": LIMIT, "horizon": "30s"}
    objective = {
        "source": source,
        "target": {"kind": "Deployment", "name": "app"},
        "indicator": {"raw": {"errorRatio": "1 - avg(up)"}},
        "objective": 95,
        "window": "1h",
        "leadingIndicators": [load],
    }
    capacity = {"type": "Declared", "perReplica": PER_REPLICA, "headroom": 0}
    scale = {"maxReplicas": 3, "capacity": capacity, "stabilizationWindow": "2s"}
    usual: dict[str, Any] = {
        "mode": "Auto",
        "when": {"probability": 0.7, "for": "0s"},
        "actions": [{"indicators": ["load"], "scale": scale}],
        "verification": {"within": "5m"},
        "cooldown": "0s",
    }
    return [
        _object("ServiceLevelObjective", "app", objective),
        _object("RemediationPolicy", "app", {**usual, **policy}),
    ]


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def deployment(name: str, image: str, *, replicas: int = 2, **spec: Any) -> dict[str, Any]:
    """Return a Deployment of pods that do nothing."""
    pod = {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": image, "args": ["sleep", "3600"]}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            **spec,
        },
    }
