"""Implements the port `Metrics` with Prometheus and servers that are compatible with its HTTP API."""

from forestall.adapters.prometheus.config import SourceConfig
from forestall.adapters.prometheus.metrics import PrometheusMetrics
from forestall.adapters.prometheus.namespace_quota import NamespaceQuota

__all__ = ["NamespaceQuota", "PrometheusMetrics", "SourceConfig"]
