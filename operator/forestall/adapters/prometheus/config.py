"""How a source is reached, and what a namespace may use of it."""

from dataclasses import dataclass

from forestall.adapters.http import Endpoint
from forestall.adapters.prometheus.namespace_quota import NamespaceQuota


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One Prometheus-compatible endpoint."""

    endpoint: Endpoint
    """Its URL is a base URL, such as ``http://prometheus.monitoring:9090``."""
    share: NamespaceQuota = NamespaceQuota()
    """What one namespace may use of it in one call."""
