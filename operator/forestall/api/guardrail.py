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
    """A stretch of time that comes again: when it opens, in which time zone, and how long it stays open."""

    cron: Annotated[
        str,
        worded(
            r"^\s*([0-9A-Za-z*/,#?-]+\s+){4}[0-9A-Za-z*/,#?-]+\s*$",
            "not a schedule: give the five fields of the crontab, such as `0 22 * * 1-5`",
            max_length=128,
        ),
    ]
    """When it opens: minute, hour, day of the month, month and day of the week, as in a crontab."""
    duration: Annotated[Duration, Between("1m", "31d")]
    """How long it stays open, from 1m to 31d."""
    time_zone: Annotated[
        str,
        worded(r"^[A-Za-z][A-Za-z0-9_+/-]*$", "not a time zone: write it like Europe/Berlin or UTC", max_length=64),
    ] = "UTC"
    """The time zone of the IANA database in which the schedule is meant; daylight saving is heeded."""
    actions: Annotated[list[ActionName], Field(max_length=16)] = []
    """Only for these actions; empty: for all."""

    @model_validator(mode="after")
    def _opens(self) -> Self:
        try:
            check_window(self.cron, self.time_zone)
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return self


class StormBreaker(Model):
    """When so much is at risk at once that nothing is done: the cause is not in each workload."""

    objectives: Annotated[int, Field(ge=2, le=1000000)] = 20
    """At least so many objectives at risk."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """And at least this share of all that are watched."""
    within: Annotated[Duration, Between("10s", "1d")] = Duration("10m")
    """That came at risk within this time of each other, from 10s to 1d."""


class Budget(Model):
    """A token bucket: at most `actions` at once, refilled evenly over `per`."""

    actions: Annotated[int, Field(ge=0, le=100000)]
    """How many actions."""
    per: Annotated[Duration, Between("1s", "30d")] = Duration("1h")
    """In which time, from 1s to 30d."""


class NodeLimits(Model):
    """How far nodes may be taken out of service."""

    max_cordoned: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How many nodes may be out of service at once (unschedulable or not ready, for whatever reason), with the one that
    the operator cordons or drains. 1 where no share is given either."""
    max_cordoned_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """The same as a share of all nodes, in percent, rounded down; where both are given, both hold."""


class Allowance(Model):
    """Which namespaces may use which actions."""

    namespaces: LabelSelector = LabelSelector()
    """The namespaces, by label; empty: all."""
    actions: Annotated[list[ActionName], Field(min_length=1, max_length=16)]
    """The actions that policies of these namespaces may use."""


class GuardrailSpec(Model):
    """What is allowed. Where several Guardrails exist, every one of them must allow an action."""

    paused: bool = False
    """Change nothing in the whole cluster, neither do nor give back. Remediations under way stand still."""
    pause_until: Timestamp | None = None
    """When the pause ends by itself; it lasts until `paused` is false when not set."""
    pause_reason: Annotated[str, Field(max_length=1024)] = ""
    """Why it is paused, for people."""
    paused_by: Annotated[str, Field(max_length=256)] = ""
    """Who paused it; an admission policy keeps anybody from writing another's name."""
    paused_at: Timestamp | None = None
    """When it was paused."""
    budget: Budget | None = None
    """Actions in the whole cluster."""
    namespace_budget: Budget | None = None
    """Actions in any one namespace."""
    nodes: NodeLimits | None = None
    """How far nodes may be taken out of service. Where no Guardrail says it: one node."""
    blackout_windows: Annotated[list[Window], Field(max_length=32)] = []
    """While one of them is open nothing new is done; what was done may be given back."""
    maintenance_windows: Annotated[list[Window], Field(max_length=32)] = []
    """Outside of them nothing new is done, where there is one for the action; what was done may be given back."""
    storm: StormBreaker | None = None
    """When so much is at risk at once that nothing is done. Where no Guardrail says it: at least 20 objectives,
    and half of all, within 10m."""
    notify: Annotated[list[Subscription], Field(max_length=16)] = []
    """Who is told of what needs people, in every namespace that the channel is open to."""
    allow: Annotated[list[Allowance], Field(max_length=64)] = []
    """Which namespaces may use which actions; empty: those that change nothing outside of their
    namespace everywhere, cordon and drain nowhere."""


class Spent(Model):
    """What is gone from one budget and was not refilled yet."""

    namespace: Annotated[str, Field(max_length=63)] = ""
    """The namespace whose budget it is; empty: the cluster's."""
    used: Annotated[float, Field(ge=0, le=1000000)]
    """How many actions, at that time."""
    at: Annotated[str, Field(max_length=64)]
    """When that was; it has been refilled since as the budget says."""


class GuardrailStatus(Model):
    """What is known; written by the operator alone."""

    observed_generation: int | None = None
    """The generation that the status speaks of."""
    conditions: Conditions = []
    """Ready."""
    spent: Annotated[list[Spent], Field(max_length=5000)] = []
    """What is gone from the budgets. It is written before an action is done, and counts also when the Remediation that
    it was for, or its whole namespace, is deleted."""


class Guardrail(Resource):
    """What cluster admins allow, whatever policies say: budgets, node limits, a pause, who may use which action."""

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
    """What is allowed."""
    status: GuardrailStatus = GuardrailStatus()
    """What is known."""
