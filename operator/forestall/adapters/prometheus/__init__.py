"""Prometheus and what speaks its HTTP API, as the port `Metrics`."""

from forestall.adapters.prometheus.config import SourceConfig
from forestall.adapters.prometheus.metrics import PrometheusMetrics
from forestall.adapters.prometheus.shares import Share

__all__ = ["PrometheusMetrics", "Share", "SourceConfig"]
