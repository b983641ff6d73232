"""The demo's queries to Prometheus."""

import math
from collections.abc import Mapping
from typing import Any

import requests

from forestall.demo.figures import Samples
from forestall.errors import MetricsError

_REQUEST_S = 5.0
_GOOD = 'shop_request_duration_seconds_bucket{code="200",le="0.5"}'
_TOTAL = "shop_request_duration_seconds_count"

_INDICATORS: Mapping[str, str] = {
    "load-per-pod": 'sum(rate(shop_arrivals_total[5s])) / sum(shop_pods{state="ready"})',
    "memory": "max(shop_pod_memory_bytes) / 1024 / 1024",
    "disk": "max(shop_node_disk_used_ratio)",
}

LIVE_QUERIES: Mapping[str, str] = {
    **_INDICATORS,
    "load": "sum(rate(shop_arrivals_total[3s]))",
    "good": f"sum(rate({_GOOD}[3s])) / sum(rate({_TOTAL}[3s]))",
    "p95": "histogram_quantile(0.95, sum by (le) (rate(shop_request_duration_seconds_bucket[3s])))",
    "ready": 'sum(shop_pods{state="ready"})',
    "starting": 'sum(shop_pods{state="starting"})',
    "queue": "sum(shop_queue_length)",
}
"""Queries of the live screen, by name."""

RUN_QUERIES: Mapping[str, str] = {
    **_INDICATORS,
    "good": f"sum({_GOOD})",
    "total": f"sum({_TOTAL})",
    "pods": "sum(shop_pods)",
    "ready": 'sum(shop_pods{state="ready"})',
    "arrivals": "sum(shop_arrivals_total)",
    "scraped": "timestamp(shop_slots)",
    "ticks": "sum(shop_loop_lag_seconds_count)",
    "prompt": 'sum(shop_loop_lag_seconds_bucket{le="0.1"})',
    "cycles": "sum(forestall_cycle_seconds_count)",
}
"""Queries of the figures of a run, by name."""


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
