"""The demo's queries to Prometheus."""

import math
from collections.abc import Mapping
from typing import Any

import requests

from forestall.demo.figures import Samples
from forestall.errors import MetricsError

_REQUEST_S = 5.0
PLAYED: Mapping[str, str] = {
    "load-per-pod": 'sum(rate(shop_arrivals_total[5s])) / sum(shop_pods{state="ready"})',
    "memory": "max(shop_pod_memory_bytes) / 1024 / 1024",
    "disk": "max(shop_node_disk_used_ratio)",
}
"""The leading indicators where the shop plays its pods and nodes."""
REAL: Mapping[str, str] = {
    # Prometheus keeps the kubelet's last sample of a pod that is gone for five minutes: only scraped pods count.
    "memory": 'max(container_memory_working_set_bytes{container="shop"} and on (pod) up{job="shop"}) / 1024 / 1024',
    "disk": (
        'max(container_fs_usage_bytes{id="/",device="overlay"} / container_fs_limit_bytes{id="/",device="overlay"})'
    ),
}
"""The leading indicators as kubelets measure them."""


def live_queries(indicators: Mapping[str, str], requests_from: str) -> Mapping[str, str]:
    """Return the queries of the live screen, by name; requests are counted by the scrape job `requests_from`."""
    job = f'job="{requests_from}"'
    good = f'shop_request_duration_seconds_bucket{{{job},code="200",le="0.5"}}'
    return {
        **indicators,
        "load": f"sum(rate(shop_arrivals_total{{{job}}}[3s]))",
        "good": f"sum(rate({good}[3s])) / sum(rate(shop_request_duration_seconds_count{{{job}}}[3s]))",
        "p95": f"histogram_quantile(0.95, sum by (le) (rate(shop_request_duration_seconds_bucket{{{job}}}[3s])))",
        "ready": 'sum(shop_pods{state="ready"})',
        "starting": 'sum(shop_pods{state="starting"})',
        "queue": "sum(shop_queue_length)",
    }


def run_queries(indicators: Mapping[str, str], requests_from: str) -> Mapping[str, str]:
    """Return the queries of the figures of a run, by name."""
    job = f'job="{requests_from}"'
    return {
        **indicators,
        "good": f'sum(shop_request_duration_seconds_bucket{{{job},code="200",le="0.5"}})',
        "total": f"sum(shop_request_duration_seconds_count{{{job}}})",
        "pods": "sum(shop_pods)",
        "ready": 'sum(shop_pods{state="ready"})',
        "arrivals": f"sum(shop_arrivals_total{{{job}}})",
        "scraped": f"timestamp(shop_arrivals_total{{{job}}})",
        "ticks": f"sum(shop_loop_lag_seconds_count{{{job}}})",
        "prompt": f'sum(shop_loop_lag_seconds_bucket{{{job},le="0.1"}})',
        "cycles": "sum(forestall_cycle_seconds_count)",
    }


class DemoMetrics:
    """Queries a Prometheus on this machine."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = requests.Session()
        self._http.trust_env = False  # Prometheus runs on this machine: no proxy

    def value(self, query: str) -> float | None:
        """Return the current single value of a query; None without one. Raises MetricsError."""
        series = self._query("query", {"query": query})
        value = float(series[0]["value"][1]) if series else math.nan
        return value if math.isfinite(value) else None

    def latest(self, queries: Mapping[str, str]) -> dict[str, float | None]:
        """Return the current value of each query. Raises MetricsError."""
        return {name: self.value(query) for name, query in queries.items()}

    def samples(self, queries: Mapping[str, str], start: float, end: float) -> Samples:
        """Return the values of each query by second from `start` to `end` (s since the epoch). Raises MetricsError."""
        steps = int(end - start)
        series = {}
        for name, query in queries.items():
            answer = self._query("query_range", {"query": query, "start": start, "end": start + steps, "step": 1})
            points = {round(at - start): float(value) for at, value in answer[0]["values"]} if answer else {}
            series[name] = [points.get(n, math.nan) for n in range(steps + 1)]
        return Samples([float(n) for n in range(steps + 1)], series)

    def _query(self, kind: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        try:
            answer = self._http.get(f"{self._url}/api/v1/{kind}", params=dict(parameters), timeout=_REQUEST_S)
            body = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise MetricsError("SourceDown", f"the demo's Prometheus did not answer: {error}") from error
        if body.get("status") != "success":
            raise MetricsError(
                "QueryRefused", f"the demo's Prometheus refused {parameters['query']}: {body.get('error')}"
            )
        result: list[dict[str, Any]] = body["data"]["result"]
        return result
