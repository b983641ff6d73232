"""NotificationChannel: where people are told; tenants name it, and never a URL."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from forestall.api.endpoint import HEADER_RULES, Auth, Headers, SecretKeyRef, Tls
from forestall.api.meta import (
    Between,
    Conditions,
    DnsLabel,
    Duration,
    LabelSelector,
    Metadata,
    Model,
    Resource,
    rule,
    rules,
    worded,
)

Topic = Literal["ApprovalRequired", "LadderExhausted", "Locked"]


class Subscription(Model):
    """A channel and the topics that it is notified of."""

    channel: DnsLabel
    """The name of the NotificationChannel."""
    topics: Annotated[
        list[Topic], Field(min_length=1, max_length=3, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ["ApprovalRequired", "LadderExhausted", "Locked"]
    """ApprovalRequired: a remediation waits for a person. LadderExhausted: every action was tried and did not help.
    Locked: a policy starts nothing until a person has unlocked it."""


class NotificationChannelSpec(Model):
    """The receiver of the notifications, their format, and the namespaces that may use the channel."""

    model_config = rules(
        rule("has(self.url) != has(self.urlFrom)", "give exactly one of `url` and `urlFrom`"),
        *HEADER_RULES,
    )

    type: Literal["Slack", "Webhook", "Alertmanager", "CloudEvents"]
    """Slack: a Slack-compatible incoming webhook. Webhook: a JSON object, sent by POST. Alertmanager: its API v2.
    CloudEvents: CloudEvents 1.0 in structured mode over HTTP."""
    url: (
        Annotated[
            str,
            worded(
                r"^https?://[^\s@#]+$",
                "not a URL: write http:// or https://, host and path, without credentials or fragment",
                max_length=2048,
            ),
        ]
        | None
    ) = None
    """The URL of the receiver; for an Alertmanager, its base URL."""
    url_from: SecretKeyRef | None = None
    """The Secret with the URL, if the URL itself is confidential, as with Slack."""
    auth: Auth = Auth()
    """The credentials for the endpoint."""
    tls: Tls = Tls()
    """Settings for the verification of the endpoint's certificate."""
    headers: Headers = {}
    """Headers of each request."""
    timeout: Annotated[Duration, Between("100ms", "10s")] = Duration("5s")
    """The timeout of one attempt, from 100ms to 10s."""
    namespaces: LabelSelector = LabelSelector()
    """The namespaces that may use the channel, by label. Empty: all."""


class NotificationChannelStatus(Model):
    """The observed state of the channel; written only by the operator."""

    observed_generation: int | None = None
    """The generation that the status refers to."""
    conditions: Conditions = []
    """The latest observations of the object's state. Known types: Ready. Ready is True if the
    last notification was delivered."""


class NotificationChannel(Resource):
    """A channel that notifies people, with its credentials and the namespaces that may use it."""

    KIND: ClassVar[str] = "NotificationChannel"
    PLURAL: ClassVar[str] = "notificationchannels"
    SINGULAR: ClassVar[str] = "notificationchannel"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("notchan",)
    NAMESPACED: ClassVar[bool] = False
    COLUMNS: ClassVar[tuple[dict[str, object], ...]] = (
        {"name": "Type", "type": "string", "jsonPath": ".spec.type"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Reason", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].reason'},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: Metadata
    spec: NotificationChannelSpec
    """The receiver of the notifications, their format, and the namespaces that may use the channel."""
    status: NotificationChannelStatus = NotificationChannelStatus()
    """The observed state of the NotificationChannel. Read-only."""
