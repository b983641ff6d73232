"""Guardrail: what admins allow in the whole cluster, whatever policies say."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from forestall.api.meta import (
    Between,
    Conditions,
    Duration,
    LabelSelector,
    Metadata,
    Model,
    Resource,
    Timestamp,
    worded,
)
from forestall.api.notification_channel import Subscription
from forestall.core.windows import check_window
from forestall.errors import InvalidInput

ActionName = Literal["Scale", "Restart", "Rollback", "Patch", "Job", "Evict", "Cordon", "Drain", "Notify"]


class Window(Model):
    """A recurring window: its schedule, time zone and length."""

    cron: Annotated[
        str,
        worded(
            r"^\s*([0-9A-Za-z*/,#?-]+\s+){4}[0-9A-Za-z*/,#?-]+\s*$",
            "not a schedule: give the five fields of the crontab, such as `0 22 * * 1-5`",
            max_length=128,
        ),
    ]
    """The schedule in cron format: minute, hour, day of the month, month, day of the week."""
    duration: Annotated[Duration, Between("1m", "31d")]
    """The length of the window, from 1m to 31d."""
    time_zone: Annotated[
        str,
        worded(r"^[A-Za-z][A-Za-z0-9_+/-]*$", "not a time zone: write it like Europe/Berlin or UTC", max_length=64),
    ] = "UTC"
    """The IANA time zone of the schedule; it follows daylight saving time."""
    actions: Annotated[list[ActionName], Field(max_length=16)] = []
    """The actions that the window applies to. Empty: all."""

    @model_validator(mode="after")
    def _opens(self) -> Self:
        try:
            check_window(self.cron, self.time_zone)
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return self


class StormBreaker(Model):
    """Limits above which the operator starts no action because too many objectives are at risk at once: the cause is
    then not in each workload."""

    objectives: Annotated[int, Field(ge=2, le=1000000)] = 20
    """The minimum number of objectives at risk."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The minimum share of all evaluated objectives."""
    within: Annotated[Duration, Between("10s", "1d")] = Duration("10m")
    """The time within which they came at risk, from 10s to 1d."""


class Budget(Model):
    """A token bucket: at most `actions` at once, refilled evenly over `per`."""

    actions: Annotated[int, Field(ge=0, le=100000)]
    """The number of actions."""
    per: Annotated[Duration, Between("1s", "30d")] = Duration("1h")
    """The period in which the budget refills, from 1s to 30d."""


class NodeLimits(Model):
    """Limits for taking nodes out of service."""

    max_cordoned: Annotated[int, Field(ge=0, le=1000)] | None = None
    """The maximum number of nodes out of service at once (unschedulable or not ready, for any reason), including the
    one that the operator cordons or drains. Default: 1, if `maxCordonedPercent` is not set."""
    max_cordoned_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """The maximum number of nodes out of service at once, as a percentage of all nodes, rounded down. If
    `maxCordoned` is set too, both apply."""


class Allowance(Model):
    """Actions that some namespaces may use."""

    namespaces: LabelSelector = LabelSelector()
    """The namespaces, by label; empty: all."""
    actions: Annotated[list[ActionName], Field(min_length=1, max_length=16)]
    """The actions that policies of these namespaces may use."""


class GuardrailSpec(Model):
    """The limits. If several Guardrails exist, each of them must allow an action."""

    paused: bool = False
    """Change nothing in the whole cluster: start no action and revert none. Remediations under way stay as they
    are."""
    pause_until: Timestamp | None = None
    """The time at which the pause expires. Default: when `paused` is false."""
    pause_reason: Annotated[str, Field(max_length=1024)] = ""
    """The reason for the pause, for people."""
    paused_by: Annotated[str, Field(max_length=256)] = ""
    """The user who paused it; an admission policy refuses the name of another user."""
    paused_at: Timestamp | None = None
    """The time at which the pause began."""
    budget: Budget | None = None
    """The budget of actions in the whole cluster."""
    namespace_budget: Budget | None = None
    """The budget of actions in each namespace."""
    nodes: NodeLimits | None = None
    """Limits for taking nodes out of service. Default, if no Guardrail sets it: one node at once."""
    blackout_windows: Annotated[list[Window], Field(max_length=32)] = []
    """The operator starts no action in these windows; it may revert actions."""
    maintenance_windows: Annotated[list[Window], Field(max_length=32)] = []
    """Actions start only in these windows, for actions that have one; they may be reverted at any time."""
    storm: StormBreaker | None = None
    """Limits above which the operator starts no action because too many objectives are at risk at once. Defaults to at
    least 20 objectives, and half of all, within 10m, if no Guardrail sets it."""
    notify: Annotated[list[Subscription], Field(max_length=16)] = []
    """The channels that are notified when people are needed, for every namespace that may use the channel."""
    allow: Annotated[list[Allowance], Field(max_length=64)] = []
    """The actions that namespaces may use. Empty: all namespaces may use actions that change only their own namespace,
    none may use cordon and drain."""


class Spent(Model):
    """The use of one budget that has not been refilled yet."""

    namespace: Annotated[str, Field(max_length=63)] = ""
    """The namespace of the budget. Empty: the cluster's budget."""
    used: Annotated[float, Field(ge=0, le=1000000)]
    """The number of actions at that time."""
    at: Annotated[str, Field(max_length=64)]
    """The time of `used`; the budget has been refilled since."""


class GuardrailStatus(Model):
    """The observed state; written only by the operator."""

    observed_generation: int | None = None
    """The generation that the status refers to."""
    conditions: Conditions = []
    """The latest observations of the object's state. Known types: Ready."""
    spent: Annotated[list[Spent], Field(max_length=5000)] = []
    """The use of the budgets. It is written before an action is executed, and counts even if the Remediation or its
    namespace is deleted."""


class Guardrail(Resource):
    """Limits that cluster admins set for all policies: budgets, node limits, pauses, windows, and which namespaces may
    use which action."""

    KIND: ClassVar[str] = "Guardrail"
    PLURAL: ClassVar[str] = "guardrails"
    SINGULAR: ClassVar[str] = "guardrail"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("grail",)
    NAMESPACED: ClassVar[bool] = False
    COLUMNS: ClassVar[tuple[dict[str, object], ...]] = (
        {"name": "Paused", "type": "boolean", "jsonPath": ".spec.paused"},
        {"name": "Until", "type": "string", "jsonPath": ".spec.pauseUntil"},
        {"name": "Budget", "type": "integer", "jsonPath": ".spec.budget.actions"},
        {"name": "Per", "type": "string", "jsonPath": ".spec.budget.per"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: Metadata
    spec: GuardrailSpec = GuardrailSpec()
    """The limits that apply to all policies."""
    status: GuardrailStatus = GuardrailStatus()
    """The observed state of the Guardrail. Read-only."""
