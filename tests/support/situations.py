"""Manifests of workloads on real nodes that get into trouble, and of objectives and policies that watch them.

What goes wrong comes by a ConfigMap, which only pods that start later read: as when somebody has changed a setting that
the next restart picks up.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.remote_write import Series
from forestall.devcluster.repeating import repeatedly

Body = dict[str, Any]

IMAGE = "forestall.test/busybox:1"
RUN = """
$START || exit 1
[ "$READY" = yes ] && exec /bin/busybox httpd -f -p 8080 -h /bin
exec /bin/busybox sleep 3600
"""
WELL = {"START": "true", "READY": "yes"}
"""The settings of a workload that starts and is ready: what it runs before it serves, and whether it serves."""


PAST_S = 600
"""How much past a level has: without any there is no forecast, and what is held is released later."""


class Levels:
    """The metric `level` of each namespace and pod, as the test sets it: written to a Prometheus once a second."""

    def __init__(self, prometheus: PrometheusServer) -> None:
        self._prometheus = prometheus
        self._values: dict[tuple[str, str], float] = {}

    @contextmanager
    def live(self) -> Iterator[Self]:
        """Write the levels during the body."""
        with repeatedly(1, self._write):
            yield self

    def set(self, value: float, *namespaces: str, pod: str = "") -> None:
        """Let the level of these namespaces be `value` from now on, and for the past where there was none."""
        now, new = time.time(), [(namespace, pod) for namespace in namespaces if (namespace, pod) not in self._values]
        times = [now - age for age in range(PAST_S, 0, -1)]
        self._prometheus.write(Series(_labels(*key), times, [value] * PAST_S) for key in new)
        self._values = {**self._values, **{(namespace, pod): value for namespace in namespaces}}

    def _write(self) -> None:
        now = time.time()
        self._prometheus.write(Series(_labels(*key), [now], [value]) for key, value in self._values.items())


def _labels(namespace: str, pod: str) -> dict[str, str]:
    return {"__name__": "level", "namespace": namespace, **({"pod": pod} if pod else {})}


def settings(**values: str) -> Body:
    """Return the ConfigMap that pods read when they start."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {**WELL, **values}}


def template(container: Mapping[str, Any] | None = None, **pod: Any) -> Body:
    """Return a pod template that does what the ConfigMap says; fields of container and pod are added."""
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "image": IMAGE,
                    "command": ["/bin/busybox", "sh", "-c", RUN],
                    "env": [
                        {"name": name, "valueFrom": {"configMapKeyRef": {"name": "settings", "key": name}}}
                        for name in WELL
                    ],
                    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                    **(container or {}),
                }
            ],
            **pod,
        },
    }


def workload(kind: str, replicas: int, pods: Mapping[str, Any] | None = None, **spec: Any) -> Body:
    """Return a workload called `web`, of so many pods (a DaemonSet has one on each node)."""
    size = {} if kind == "DaemonSet" else {"replicas": replicas}
    own = {"serviceName": "web", **size} if kind == "StatefulSet" else size
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pods or template(), **own, **spec},
    }


def objective(namespace: str, kind: str, per: str = "") -> Body:
    """Return an objective whose indicator `level` the test sets, for each value of a label or none; its limit is 10."""
    query = f'level{{namespace="{namespace}"}}'
    indicator = {"name": "level", "query": query, "limit": 10, "horizon": "30s", **({"per": per} if per else {})}
    return {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": "ServiceLevelObjective",
        "metadata": {"name": "web"},
        "spec": {
            "source": "levels",
            "target": {"kind": kind, "name": "web"},
            "indicator": {"raw": {"errorRatio": "1 - avg(up)"}},
            "objective": 90,
            "window": "1h",
            "leadingIndicators": [indicator],
        },
    }


def policy(*actions: Mapping[str, Any], within: str = "5s", **spec: Any) -> Body:
    """Return a policy that acts at once, and judges after `within`."""
    return {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": "web"},
        "spec": {
            "mode": "Auto",
            "when": {"probability": 0.7},
            "actions": list(actions),
            "verification": {"within": within},
            "cooldown": "10m",
            **spec,
        },
    }


def restart() -> Body:
    """Return a rung that restarts at once."""
    return {"restart": {"timing": "Now"}}


def scale_out(most: int) -> Body:
    """Return a rung that scales to one replica for each 10 of the level, and releases soon."""
    capacity = {"type": "Declared", "perReplica": 10, "headroom": 0}
    return {"scale": {"maxReplicas": most, "capacity": capacity, "stabilizationWindow": "5s"}}
