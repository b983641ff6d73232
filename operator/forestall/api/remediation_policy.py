"""RemediationPolicy: what may be done about a risk, when, and within which bounds."""

import hashlib
import json
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from forestall.api.guardrail import Window
from forestall.api.meta import (
    LEAST_MEASURE,
    MOST_MEASURE,
    Between,
    Conditions,
    DnsLabel,
    Duration,
    LabelSelector,
    Metadata,
    Model,
    Resource,
    milliseconds,
    rule,
    rules,
)
from forestall.api.notification_channel import Subscription
from forestall.api.patch_action import PatchAction

Mode = Literal["Observe", "Approve", "Auto"]
ACTIONS = ("scale", "restart", "rollback", "patch", "job", "evict", "cordon", "drain", "notify")
"""The fields of a rung that are actions."""


class When(Model):
    """The conditions under which the policy acts."""

    probability: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Act when the breach probability is at least this."""
    within: Annotated[Duration, Between("10s", "7d")] | None = None
    """The horizon for this policy, from 10s to 7d. Default: the indicator's horizon."""
    for_: Annotated[Duration, Between("0s", "1d"), Field(alias="for")] = Duration("0s")
    """Act only after the risk has lasted this long, up to 1d."""


class Capacity(Model):
    """The capacity of one replica in units of a leading indicator."""

    model_config = rules(
        rule(
            "!(self.type == 'Declared') || has(self.perReplica)",
            "a Declared capacity needs `perReplica`: the indicator's value that one replica can carry",
        ),
        rule(
            "!(self.type == 'Proportional') || !has(self.perReplica)",
            "`perReplica` goes with type Declared; Proportional derives it from the limit and the current size",
        ),
    )

    type: Literal["Proportional", "Declared"] = "Proportional"
    """Proportional: the indicator is a level per replica (utilization, queue length per replica) that falls as replicas
    are added. Declared: the indicator is a total (requests per second), and one replica serves `perReplica` of it."""
    per_replica: Annotated[float, Field(ge=LEAST_MEASURE, le=MOST_MEASURE)] | None = None
    """The capacity of one replica in units of the indicator, for type Declared."""
    indicator: DnsLabel | None = None
    """The leading indicator that sizes the workload. Default: the one that caused the risk."""
    headroom: Annotated[float, Field(ge=0, le=1)] = 0.2
    """The share of the capacity that is kept free: 0.2 plans for replicas that are 80 % full."""
    confidence: Annotated[float, Field(ge=0.001, le=0.999)] = 0.5
    """The probability with which the replicas must suffice for the highest value within the horizon: 0.5 plans for its
    median plus headroom; 0.95 for a bound that it rarely exceeds. From 0.001 to 0.999."""


class ScaleAction(Model):
    """Raise the replicas of the target for as long as the risk lasts; never below what was found."""

    model_config = rules(
        rule("self.minReplicas <= self.maxReplicas", "minReplicas is above maxReplicas", fieldPath=".minReplicas"),
    )

    max_replicas: Annotated[int, Field(ge=1, le=10000)]
    """Never scale above this."""
    min_replicas: Annotated[int, Field(ge=0, le=10000)] = 1
    """Never scale a workload that is smaller than this (0: a workload scaled to zero stays at zero)."""
    max_step: Annotated[int, Field(ge=1, le=10000)] | None = None
    """Add at most this many replicas in one step."""
    capacity: Capacity = Capacity()
    """The number of replicas that a forecast needs."""
    hold_at_most: Annotated[Duration, Between("1m", "30d")] = Duration("24h")
    """Revert the scale-out after this long, from 1m to 30d, even while the risk lasts."""
    stabilization_window: Annotated[Duration, Between("0s", "1d")] = Duration("10m")
    """Revert the scale-out, step by step, only after measurement and forecast have needed fewer replicas for this long,
    up to 1d."""


class RestartAction(Model):
    """Restart the target by a rolling update, as `kubectl rollout restart` does."""

    timing: Literal["LowTraffic", "Now"] = "LowTraffic"
    """LowTraffic: at the moment with the least traffic, by the past days, that still leaves the policy's whole
    `deadline` before the breach. Now: at once."""


class RollbackAction(Model):
    """Roll the target back to its previous revision, as `kubectl rollout undo` does, where the risk began soon after a
    rollout; otherwise the next action of the ladder is asked."""

    within: Annotated[Duration, Between("1m", "7d")] = Duration("1h")
    """The risk must have started within this time, from 1m to 7d, after the newest rollout."""


class JobAction(Model):
    """Run a runbook: a Job made from a suspended CronJob of this namespace, as `kubectl create job --from` does, with
    the evidence in its environment. It helped when it completed and the risk fell."""

    cron_job: DnsLabel
    """The name of the CronJob, which must be suspended."""


class EvictAction(Model):
    """Evict the one pod of the target that the leading indicator's label `pod` names, as its PodDisruptionBudget
    allows; its controller replaces it."""


class CordonAction(Model):
    """Mark the node that the leading indicator names as unschedulable, and uncordon it when it has been healthy for a
    while."""

    healthy_for: Annotated[Duration, Between("0s", "7d")] = Duration("10m")
    """Uncordon a node that this action cordoned when it has been free of risk for this long, up to 7d."""


class DrainAction(Model):
    """Cordon the node that the leading indicator names, and evict its pods as their PodDisruptionBudgets allow: as
    `kubectl drain --ignore-daemonsets` does. The node is uncordoned when it has been healthy for a while, or when it
    was not drained by the deadline."""

    healthy_for: Annotated[Duration, Between("0s", "7d")] = Duration("10m")
    """Uncordon a node that this action drained when it has been free of risk for this long, up to 7d."""
    force: bool = False
    """Also evict pods that no controller replaces. Without it, a node with such a pod is not drained."""
    delete_empty_dir_data: bool = False
    """Also evict pods with emptyDir volumes, whose data is lost. Without it, a node with such a pod is not drained."""


class NotifyAction(Model):
    """Notify people through a channel that cluster admins define; at the end of a ladder, the page to the person on
    call."""

    channel: DnsLabel
    """The name of the NotificationChannel."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Text that is added to the reason, such as a link to the runbook."""


class Rung(Model):
    """One action of the ladder: exactly one of its fields."""

    model_config = rules(
        rule(
            f"[{', '.join(f'has(self.{action})' for action in ACTIONS)}].filter(x, x).size() == 1",
            f"give exactly one action: {', '.join(ACTIONS[:-1])} or {ACTIONS[-1]} "
            "(an action of another name is not known)",
        )
    )

    indicators: Annotated[
        list[DnsLabel], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = []
    """Use this action only if one of these leading indicators (or `sli`, the objective's own) is the cause. Empty: for
    any cause."""
    scale: ScaleAction | None = None
    """Raise the replicas of the target."""
    restart: RestartAction | None = None
    """Restart the target by a rolling update."""
    rollback: RollbackAction | None = None
    """Roll the target back to its previous revision."""
    patch: PatchAction | None = None
    """Set one field of one object while the risk lasts."""
    job: JobAction | None = None
    """Run a runbook as a Job."""
    evict: EvictAction | None = None
    """Evict the indicator's pod."""
    cordon: CordonAction | None = None
    """Mark the indicator's node as unschedulable."""
    drain: DrainAction | None = None
    """Move the pods off the indicator's node."""

    notify: NotifyAction | None = None
    """Notify people through a channel."""

    @model_validator(mode="after")
    def _has_one_action(self) -> Self:
        # A CRD that is newer than the operator lets actions in of which it has never heard.
        if sum(getattr(self, action) is not None for action in ACTIONS) != 1:
            raise ValueError(f"not exactly one of the actions that this version knows: {', '.join(ACTIONS)}")
        return self

    @property
    def name(self) -> str:
        """The name of the action, as labels, metrics and Guardrails say it."""
        return next(action.capitalize() for action in ACTIONS if getattr(self, action) is not None)


class VerificationSpec(Model):
    """The verification that an action helped."""

    within: Annotated[Duration, Between("1s", "1d")] = Duration("5m")
    """The time after completion, up to 1d, within which the breach probability must fall below `probability`."""
    probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """The breach probability below which the risk counts as fallen."""


class RemediationPolicySpec(Model):
    """The selected objectives, the conditions and the actions."""

    model_config = rules(
        rule(
            "self.verification.probability <= self.when.probability",
            "verification.probability (0.5 when not set) is above when.probability: the risk would count as fallen "
            "before it has moved",
            fieldPath=".verification.probability",
        ),
        rule(
            f"self.mode != 'Approve' || {milliseconds('self.approvalExpiry')} <= {milliseconds('self.deadline')}",
            "approvalExpiry (15m when not set) is longer than deadline: an approval could come too late to act",
            fieldPath=".approvalExpiry",
        ),
    )

    objectives: LabelSelector = LabelSelector()
    """The ServiceLevelObjectives of this namespace that the policy selects, by label. Empty: all."""
    mode: Mode = "Observe"
    """Observe: decide and report, change nothing. Approve: wait for a person's approval. Auto: act."""
    suspend: bool = False
    """Start no action. Actions in effect are reverted as usual."""
    when: When = When()
    """The conditions under which the policy acts."""
    actions: Annotated[list[Rung], Field(min_length=1, max_length=8)]
    """The ladder of actions, tried in order: the next one follows if one did not help."""
    verification: VerificationSpec = VerificationSpec()
    """The verification that an action helped."""
    cooldown: Annotated[Duration, Between("0s", "30d")] = Duration("10m")
    """After a remediation has ended, wait this long, up to 30d, before the next one on the same target."""
    blackout_windows: Annotated[list[Window], Field(max_length=16)] = []
    """The policy starts no action in these windows; it may revert actions."""
    maintenance_windows: Annotated[list[Window], Field(max_length=16)] = []
    """The policy starts actions only in these windows, for actions that have one."""
    notify: Annotated[list[Subscription], Field(max_length=8)] = []
    """The channels that are notified when people are needed."""
    deadline: Annotated[Duration, Between("10s", "7d")] = Duration("30m")
    """The time after the decision, from 10s to 7d, at which an unfinished remediation ends."""
    approval_expiry: Annotated[Duration, Between("10s", "7d")] = Duration("15m")
    """In mode Approve: a remediation that nobody approved by then is aborted; not longer than `deadline`."""

    @cached_property
    def content_hash(self) -> str:
        """A hash of what the policy does and when: of all but `suspend` and `mode`, which only say whether it may."""
        content = self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"suspend", "mode"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


class RemediationPolicyStatus(Model):
    """The observed state of the policy; written only by the operator."""

    observed_generation: int | None = None
    """The generation that the status refers to."""
    objectives: int | None = None
    """The number of objectives that the policy selects."""
    active: int | None = None
    """The number of the policy's remediations that are under way."""
    conditions: Conditions = []
    """The latest observations of the object's state. Known types: Ready, Permitted (whether
    the operator has the rights), Locked (a person must unlock the policy before it acts again)."""


class RemediationPolicy(Resource):
    """The conditions under which forestall acts on a forecast breach, and the bounds of its actions."""

    KIND: ClassVar[str] = "RemediationPolicy"
    PLURAL: ClassVar[str] = "remediationpolicies"
    SINGULAR: ClassVar[str] = "remediationpolicy"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("rempol",)
    NAMESPACED: ClassVar[bool] = True
    COLUMNS: ClassVar[tuple[dict[str, object], ...]] = (
        {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
        {"name": "Objectives", "type": "integer", "jsonPath": ".status.objectives"},
        {"name": "Active", "type": "integer", "jsonPath": ".status.active"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: Metadata
    spec: RemediationPolicySpec
    """The selected objectives, the conditions and the actions."""
    status: RemediationPolicyStatus = RemediationPolicyStatus()
    """The observed state of the RemediationPolicy. Read-only."""
