"""Remediation: one intended action and its life; the intent never changes once written."""

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from forestall.api.meta import API_VERSION, Conditions, Count, Duration, Metadata, Model, Resource, rule, rules
from forestall.api.remediation_policy import Mode, Rung
from forestall.api.service_level_objective import RiskCause

Phase = Literal[
    "Pending",
    "AwaitingApproval",
    "Authorized",
    "Executing",
    "Verifying",
    "Holding",
    "RollingBack",
    "Succeeded",
    "RolledBack",
    "Failed",
    "Aborted",
]
TERMINAL: frozenset[str] = frozenset({"Succeeded", "RolledBack", "Failed", "Aborted"})


class ObjectRef(Model):
    """One object, with the UID that tells it from a later one of the same name."""

    api_version: str
    """The object's API version."""
    kind: str
    """The object's kind."""
    namespace: str = ""
    """The object's namespace; empty for a cluster-scoped one."""
    name: str
    """The object's name."""
    uid: str = ""
    """The object's UID."""

    @classmethod
    def to(cls, resource: Resource) -> Self:
        """Return the reference to one of the operator's own objects."""
        return cls(
            api_version=API_VERSION,
            kind=resource.KIND,
            namespace=resource.namespace,
            name=resource.name,
            uid=resource.uid,
        )


MOST_PODS = 256
"""How many pods an Evidence lists at the most."""


class Evidence(RiskCause):
    """The data that the decision is based on."""

    reason: str = ""
    """A human-readable reason for the decision."""
    pods: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=MOST_PODS)] = []
    """For evict, restart and rollback: the pods whose series the indicator had, the worst first. Only the series of
    pods that came since tell whether it helped."""


class Intent(Model):
    """The intended action, its target, its evidence and its deadline."""

    policy: ObjectRef
    """The RemediationPolicy that decided."""
    policy_generation: Count = 0
    """The generation of the policy at the decision."""
    policy_hash: Annotated[str, Field(max_length=64)] = ""
    """A hash of the policy's spec at the decision, without `suspend` and `mode`, which shows later changes."""
    objective: ObjectRef
    """The ServiceLevelObjective at risk."""
    objective_generation: Count = 0
    """The generation of the objective at the decision."""
    episode: Count
    """The number of the objective's episode at risk."""
    rung: Annotated[int, Field(ge=0, le=15)] = 0
    """The position of the action in the policy's list `actions`, counted from 0."""
    target: ObjectRef
    """The object that the action changes."""
    action: Rung
    """The action with its bounds, as the policy gave it."""
    mode: Mode
    """The policy's mode at the decision."""
    from_: Annotated[Count | None, Field(alias="from")] = None
    """For scale: the original replicas, below which the operator never goes. For rollback: the newest revision."""
    to: Count | None = None
    """For scale: the replicas that the first forecast required. For rollback: the previous revision."""
    evidence: Evidence
    """The evidence at the decision."""
    created: str
    """The time of the decision."""
    deadline: str
    """The time at which the remediation ends, complete or not."""
    approval_expires: str | None = None
    """The time at which the request for approval expires."""
    verify_within: Duration = Duration("5m")
    """The time after completion within which the risk must fall."""
    verify_probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """The breach probability below which the risk counts as fallen."""
    rollback: str = ""
    """A description of how the action is reverted."""


class Approval(Model):
    """A person's decision, in mode Approve."""

    decision: Literal["Approved", "Rejected"]
    """The decision: Approved or Rejected."""
    by: Annotated[str, Field(max_length=256)] = ""
    """The user who decided."""
    at: Annotated[str, Field(max_length=64)] = ""
    """The time of the decision."""
    comment: Annotated[str, Field(max_length=1024)] = ""
    """The comment of the user who decided."""


class Feedback(Model):
    """A person's feedback, afterwards."""

    verdict: Literal["Helpful", "Unhelpful", "FalseAlarm"]
    """The verdict: Helpful, Unhelpful or FalseAlarm."""
    by: Annotated[str, Field(max_length=256)] = ""
    """The user who gave the feedback."""
    at: Annotated[str, Field(max_length=64)] = ""
    """The time of the feedback."""
    comment: Annotated[str, Field(max_length=1024)] = ""
    """The comment of the user who gave the feedback."""


class Undo(Model):
    """A person's request to revert the action now."""

    by: Annotated[str, Field(max_length=256)] = ""
    """The user who requested the undo."""
    at: Annotated[str, Field(max_length=64)] = ""
    """The time of the request."""
    comment: Annotated[str, Field(min_length=1, max_length=1024)]
    """The comment of the user who requested the undo."""


class Restored(Model):
    """What it was before it was deleted, and written again because something rests on it."""

    uid: Annotated[str, Field(max_length=64)]
    """The original UID, with which the changes of the Remediation are marked."""
    feedback: Feedback | None = None
    """The feedback before the deletion."""
    undo: Undo | None = None
    """The undo request before the deletion."""


class RemediationSpec(Model):
    """The immutable intent, and the decisions and feedback of people."""

    model_config = rules(
        rule(
            "self.intent == oldSelf.intent",
            "the intent of a Remediation never changes; change the RemediationPolicy instead",
            fieldPath=".intent",
        ),
        rule(
            "!has(oldSelf.approval) || (has(self.approval) && self.approval == oldSelf.approval)",
            "this was decided already: a Remediation is approved or rejected once",
            fieldPath=".approval",
        ),
        rule(
            "!has(self.approval) || self.intent.mode == 'Approve'",
            "this Remediation does not wait for an approval: its policy's mode was not Approve",
            fieldPath=".approval",
        ),
        rule(
            "!has(oldSelf.undo) || (has(self.undo) && self.undo == oldSelf.undo)",
            "this was asked for already: a Remediation is undone once",
            fieldPath=".undo",
        ),
        rule(
            "has(self.restored) == has(oldSelf.restored) && (!has(self.restored) || self.restored == oldSelf.restored)",
            "what a Remediation was before it was deleted never changes",
            fieldPath=".restored",
        ),
    )

    intent: Intent
    """The intended action; written once, by the operator."""
    approval: Approval | None = None
    """A person's decision, in mode Approve."""
    feedback: Feedback | None = None
    """A person's opinion, afterwards."""
    undo: Undo | None = None
    """A person's request to revert the action now, whatever the risk and the policy say; for scale, patch, cordon and
    drain. It needs the verb `approve`."""
    restored: Restored | None = None
    """Set if somebody deleted the Remediation while something depended on it, and the operator restored it."""


class Seen(Model):
    """The load that sized a scale-out."""

    ready: Count
    """The number of ready replicas."""
    value: float
    """The indicator's value."""


class Step(Model):
    """One change of the cluster, recorded before it is made."""

    at: str
    """The time at which the change was recorded."""
    change: str
    """A description of the change."""
    subject: ObjectRef | None = None
    """The object that is written, and where the change is reverted."""
    from_: Annotated[int | None, Field(alias="from")] = None
    """For scale: the replicas before."""
    to: int | None = None
    """For scale: the replicas after."""
    because: str = ""
    """The reason for the change."""
    previous: str = ""
    """For patch: the previous value as JSON, to which the field is reverted."""
    load: Seen | None = None
    """For scale with a proportional capacity: the load that sized it, which must fall as replicas are added."""
    done: bool = False
    """Whether the change is known to have been made."""


class RemediationStatus(Model):
    """The observed lifecycle of the Remediation; written only by the operator."""

    phase: Phase = "Pending"
    """The phase of the lifecycle."""
    reason: str = ""
    """A programmatic identifier for the reason of the phase."""
    message: str = ""
    """A human-readable message with details about the phase."""
    since: str = ""
    """The time at which the phase began."""
    steps: Annotated[list[Step], Field(max_length=20)] = []
    """The last changes that were made."""
    completed: str | None = None
    """The time at which the action was complete; verification uses samples after this."""
    calm_since: str | None = None
    """For scale, cordon and drain: the time since which the risk has passed."""
    blind_since: str | None = None
    """The time since which there has been no fresh data about the risk."""
    ended: str | None = None
    """The time at which the remediation ended."""
    change: str = ""
    """For scale: the original, the highest requested and the current replicas, such as `3 → 6`, or `3 → 6 → 3` after
    the revert. For rollback: the revisions."""
    conditions: Conditions = []
    """The latest observations of the object's state. Known types: Approved, Completed, Verified,
    Reverted (False while the action cannot be reverted), Restored (after a deletion); for scale also PodsReady,
    PodsPreempted and Proportional."""


class Remediation(Resource):
    """One intended action: intent, reason, phase, steps and outcome. Written by the operator."""

    model_config = rules(
        rule(
            "!has(self.spec.approval) || has(oldSelf.spec.approval) || !has(self.status) || !has(self.status.phase) || "
            "self.status.phase in ['Pending', 'AwaitingApproval']",
            "too late: this Remediation no longer waits for an approval",
            fieldPath=".spec.approval",
        ),
        rule(
            "!has(self.spec.undo) || has(oldSelf.spec.undo) || !has(self.status) || !has(self.status.phase) || "
            "!(self.status.phase in ['Succeeded', 'RolledBack', 'Failed', 'Aborted'])",
            "too late: this Remediation has ended, and holds nothing that could be reverted",
            fieldPath=".spec.undo",
        ),
        rule(
            "!has(self.spec.undo) || has(oldSelf.spec.undo) || has(self.spec.intent.action.scale) || "
            "has(self.spec.intent.action.patch) || has(self.spec.intent.action.cordon) || "
            "has(self.spec.intent.action.drain)",
            "this action can't be undone: only scale, patch, cordon and drain can",
            fieldPath=".spec.undo",
        ),
    )

    KIND: ClassVar[str] = "Remediation"
    PLURAL: ClassVar[str] = "remediations"
    SINGULAR: ClassVar[str] = "remediation"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("remed",)
    NAMESPACED: ClassVar[bool] = True
    COLUMNS: ClassVar[tuple[dict[str, object], ...]] = (
        {"name": "Action", "type": "string", "jsonPath": ".metadata.labels.forestall\\.dev/action"},
        {"name": "Target", "type": "string", "jsonPath": ".spec.intent.target.name"},
        {"name": "Change", "type": "string", "jsonPath": ".status.change"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Reason", "type": "string", "jsonPath": ".status.reason"},
        {"name": "Policy", "type": "string", "jsonPath": ".spec.intent.policy.name", "priority": 1},
        {"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: Metadata
    spec: RemediationSpec
    """The immutable intent, and the decisions and feedback of people."""
    status: RemediationStatus = RemediationStatus()
    """The observed state of the Remediation. Read-only."""

    @property
    def ended(self) -> bool:
        """Whether its life is over."""
        return self.status.phase in TERMINAL

    @property
    def signature(self) -> str:
        """The UID by which what it changes is signed: its own, or that which it had before it was deleted."""
        return self.spec.restored.uid if self.spec.restored else self.uid

    @property
    def undo(self) -> Undo | None:
        """What a person wants back, also if that was said before it was deleted."""
        return self.spec.undo or (self.spec.restored.undo if self.spec.restored else None)

    @property
    def feedback(self) -> Feedback | None:
        """What a person thought of it, also if that was said before it was deleted."""
        return self.spec.feedback or (self.spec.restored.feedback if self.spec.restored else None)

    @property
    def unwritten(self) -> bool:
        """Whether it was written again but not yet what became of it: nothing is to be done by it."""
        return self.spec.restored is not None and not self.status.since


def change_of(intent: Intent, steps: Sequence[Step]) -> str:
    """Return what became of the number that a remediation changes, such as `3 → 6`; empty where it changes none.

    It is told by the steps that were made: the intent says what the forecast first asked for.
    """
    if intent.from_ is None or intent.to is None:
        return ""
    requested = [step.to for step in steps if step.to is not None] if intent.action.scale else []
    path = [intent.from_, max(requested), requested[-1]] if requested else [intent.from_, intent.to]
    return " → ".join(str(number) for number, _ in groupby(path))
