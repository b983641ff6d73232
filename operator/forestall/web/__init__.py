"""What the operator tells about itself over HTTP: whether it lives, whether it is ready, and its metrics."""

from forestall.web.health import Health
from forestall.web.server import WebServer
from forestall.web.telemetry import AtRisk, Telemetry

__all__ = ["AtRisk", "Health", "Telemetry", "WebServer"]
