"""Prometheus and what speaks its HTTP API, as the port `Metrics`."""

from forestall.adapters.prometheus.config import SourceConfig
from forestall.adapters.prometheus.metrics import PrometheusMetrics

__all__ = ["PrometheusMetrics", "SourceConfig"]
