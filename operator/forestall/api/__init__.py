"""The objects of `forestall.dev/v1alpha1` as pydantic models: one kind a file, and the generator of their CRDs."""

from forestall.api.guardrail import Guardrail
from forestall.api.meta import API_VERSION, GROUP, VERSION, Duration, Resource
from forestall.api.metric_source import MetricSource
from forestall.api.notification_channel import NotificationChannel
from forestall.api.pause import Pause
from forestall.api.remediation import Remediation
from forestall.api.remediation_policy import RemediationPolicy
from forestall.api.service_level_objective import ServiceLevelObjective

KINDS: tuple[type[Resource], ...] = (
    ServiceLevelObjective,
    RemediationPolicy,
    Remediation,
    MetricSource,
    Guardrail,
    Pause,
    NotificationChannel,
)

__all__ = [
    "API_VERSION",
    "GROUP",
    "KINDS",
    "VERSION",
    "Duration",
    "Guardrail",
    "MetricSource",
    "NotificationChannel",
    "Pause",
    "Remediation",
    "RemediationPolicy",
    "Resource",
    "ServiceLevelObjective",
]
