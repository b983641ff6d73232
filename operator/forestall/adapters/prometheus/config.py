"""The configuration of a source: its endpoint, and the share of each namespace."""

from dataclasses import dataclass

from forestall.adapters.http import Endpoint
from forestall.adapters.prometheus.namespace_quota import NamespaceQuota


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One Prometheus-compatible endpoint."""

    endpoint: Endpoint
    """The endpoint with the base URL, such as ``http://prometheus.monitoring:9090``."""
    share: NamespaceQuota = NamespaceQuota()
    """The share of the source that one namespace may use in one call."""
