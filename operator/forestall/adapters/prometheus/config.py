"""How a source is reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from forestall.adapters.prometheus.shares import Share


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One Prometheus-compatible endpoint. What may be secret does not show in its representation."""

    url: str
    """The base URL, such as ``http://prometheus.monitoring:9090``."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers of each request."""
    bearer_token: str | None = field(default=None, repr=False)
    """A token for the Authorization header; white space around it is dropped, as files of Secrets often end in a line
    break."""
    basic: tuple[str, str] | None = field(default=None, repr=False)
    """A user name and a password."""
    ca_pem: str | None = None
    """The certificate authority in PEM; the system's when not set."""
    insecure_skip_verify: bool = False
    """Do not check the certificate."""
    timeout: float = 10.0
    """How long a request may take (s), from connecting to the last byte."""
    share: Share = Share()
    """What one namespace may use of it in one call."""
