"""Prometheus and what speaks its HTTP API, as the port `Metrics`."""

from forestall.adapters.prometheus.config import SourceConfig
from forestall.adapters.prometheus.metrics import PrometheusMetrics
from forestall.adapters.prometheus.namespace_quota import NamespaceQuota

__all__ = ["NamespaceQuota", "PrometheusMetrics", "SourceConfig"]
