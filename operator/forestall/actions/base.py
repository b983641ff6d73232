"""What the reconciler of Remediations asks of an action: observe the target, say what is next, change it once.

An action changes one number of its target, its *level*: the replicas of a workload (or the floor of its autoscaler), or
0 and 1 for what is either done or not. `from` and `to` are written into the status before `write` is called, so that
whoever reads the Remediation after a crash can tell from the level alone whether the change was made. All decisions are
pure functions of what was seen; only `resolve_target`, `observe` and `write` speak to the cluster, and `proceed` of an
action that needs many writes: each of those must be safe to repeat, because none of them is written down before it is
made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from forestall.api.meta import Condition, condition
from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.remediation_policy import Rung
from forestall.core.decision import Hold
from forestall.core.sizing import LoadSample
from forestall.core.traits import ActionTraits
from forestall.errors import NotFound
from forestall.ports import Cluster, Reader, Right


@dataclass(frozen=True, slots=True)
class RiskOutlook:
    """What the present cycle says about the risk that one live remediation answers."""

    fresh: bool
    """The data is there, fresh and finite. Otherwise there is no verdict: nothing is raised or released."""
    probability: float
    """The breach probability of the cause, with the workload as it is now; NaN when not fresh."""
    breached: bool
    """Whether the newest value is past the limit."""
    sampled_at: float
    """When the newest raw sample behind it was taken (s since the epoch)."""
    replicas_forecast: int | None = None
    """For scale: the replicas that the forecast's bound needs, not capped by the policy; None where unknown."""
    replicas_observed: int | None = None
    """For scale: the replicas that the newest observation needs; None where unknown."""
    load: LoadSample | None = None
    """For scale with a proportional capacity: what sizes it, as it is now; None where unknown."""
    unjudgeable: Hold | None = None
    """Why there may never be fresh data again: what was asked when this was decided is asked no more."""
    withdrawn: Hold | None = None
    """Why nobody asks for it any more: the objective or the policy is gone, suspended, or only observes."""
    calm: float | None = None
    """For how long (s) a risk must be gone until what was not begun is given up; None where nobody says."""
    edited: Hold | None = None
    """What the policy says otherwise since this was decided: nothing is begun or raised by it any more. What was done
    is held and released as it was decided."""

    def at_risk(self, probability: float) -> bool:
        """Say whether the breach probability is at or above `probability`, or the limit is passed already."""
        return self.breached or not self.probability < probability


@dataclass(frozen=True, slots=True)
class TimedOutlook:
    """An outlook and when it was told (s since the epoch)."""

    at: float
    outlook: RiskOutlook


@dataclass(frozen=True, slots=True)
class StalledReplicas:
    """Replicas that were asked for and do not come to serve."""

    idle: int
    """How many can be released without taking one that serves, or ever did."""
    why: Hold
    """In the words of whoever keeps them from it: a quota, the scheduler, the kubelet, an autoscaler."""
    settles: bool = False
    """Whether this may pass by itself, as when nodes are added."""
    is_reported: bool = True
    """Whether somebody says why; otherwise they may only be starting."""


@dataclass(frozen=True, slots=True)
class UnfinishedRollout:
    """Why the pods of a rollout do not serve, or no longer do."""

    why: Hold
    """In the words of whoever keeps them from it."""
    since: float | None = None
    """Since when (s since the epoch) the first of them has been on its way; None where that is not known."""
    is_reported: bool = True
    """Whether a component says why; otherwise they may only be starting, or ending."""


@dataclass(frozen=True, slots=True)
class ObservedState:
    """What an action found."""

    level: int
    """What the action changes: replicas, or 0 (not done) and 1 (done by this remediation)."""
    subject: ObjectRef
    """The object that is written, which is not always the target."""
    resource_version: str
    """The version that a write is conditional on."""
    settled: bool = True
    """Whether the level has taken effect; a rollout takes its time."""
    failed: Hold | None = None
    """Why it will never take effect."""
    unfinished: UnfinishedRollout | None = None
    """For a rollout that is not complete, or not any more: which pods it is because of, where that is known."""
    taken_over: bool = False
    """Whether somebody else was the last to change the level."""
    ceiling: int = 1
    """The highest level that is possible."""
    size: int | None = None
    """For scale: the replicas that the workload asks for, which an autoscaler may have put above its floor."""
    current_value: str = ""
    """For patch: the value that is there, as JSON."""
    remaining_pods: Sequence[ObjectRef] = ()
    """For an action of many writes: what is still to be written."""
    left: str = ""
    """For an action of many writes: what it waits for, in words."""
    blocked: Hold | None = None
    """For scale: why the level must not be raised now, although it may be released."""
    unattached: Hold | None = None
    """For scale: why the level holds nothing up any more, and is released at once."""
    stalled: StalledReplicas | None = None
    """For scale: what does not come to serve, of what was added."""


@dataclass(frozen=True, slots=True)
class Change:
    """Change the level."""

    to: int
    description: str
    """The change in words, such as `replicas 3 -> 5`."""
    because: str
    increases: bool
    """Whether it does more than was done so far, which the guards must allow; releasing is always allowed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The life of the remediation is over."""

    phase: Literal["Succeeded", "RolledBack", "Failed", "Aborted"]
    reason: str
    message: str


Next = Change | Hold | Outcome
"""What comes next: a change, nothing for now, or the end."""


@dataclass(frozen=True, slots=True)
class TargetRequest:
    """What an action can be aimed by."""

    rung: Rung
    """The action with its bounds."""
    workload: ObjectRef
    """The target of the objective, with its UID."""
    labels: Mapping[str, str]
    """The labels of the series that caused the risk."""
    risk_since: float
    """Since when the objective has been at risk (s since the epoch)."""


@dataclass(frozen=True, slots=True)
class TargetWithLevels:
    """A target, where more must be remembered of it than its UID."""

    target: ObjectRef
    from_: int
    """What was found, in the terms of the action; the intent's `from`."""
    to: int
    """What is wanted; the intent's `to`."""


class NotApplicable(Hold):
    """The action does not suit this case: the next rung of the ladder is asked."""


class Deferred(Hold):
    """What was changed can't be looked at, or must not be touched, for a while: it is remembered until it can."""

    @classmethod
    def of(cls, hold: Hold) -> Self:
        """Return `hold` as one that is waited for."""
        return cls(hold.reason, hold.message)


class Action(Protocol):
    """One kind of change. Stateless: everything that must be remembered is in the Remediation."""

    traits: ClassVar[ActionTraits]
    """What others have to know of it."""

    def rights(self, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
        """Return the rights to change `target`; `subject` is what is written to scale it, where known."""
        ...

    async def resolve_target(self, cluster: Reader, request: TargetRequest) -> ObjectRef | TargetWithLevels | Hold:
        """Return what would be changed, with its UID; or why nothing can be, `NotApplicable` where another rung should.

        Raises:
            ClusterError: the cluster could not say.
        """
        ...

    async def observe(self, cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
        """Return the state of the target as it is now, or why the action can have no part in it any more.

        Raises:
            ClusterError: the cluster could not say; nothing is known.
        """
        ...

    def first_change(self, remediation: Remediation, observed: ObservedState) -> Change | Hold:
        """Return the first change, or why it must not be made."""
        ...

    def next_change(
        self, remediation: Remediation, observed: ObservedState, recent: Sequence[TimedOutlook], now: float
    ) -> Next:
        """Return what comes next once the first change is made and has settled.

        `recent` are the newest outlooks without a gap, oldest first; the last one is of this cycle. It is empty when
        this cycle has none.
        """
        ...

    async def write(self, cluster: Cluster, remediation: Remediation, observed: ObservedState, to: int) -> None:
        """Change the level from `observed.level` to `to`, on the condition that nobody wrote since `observed` was seen.

        Raises:
            ClusterError: it was not done, or (`Unavailable`) it is not known whether it was.
        """
        ...


@runtime_checkable
class MultiStepAction(Protocol):
    """An action of many writes: after the first, the reconciler lets it go on in each cycle until it has settled.

    It is asked for no more once its deadline has passed or nobody wants it any more; what it did is then released.
    """

    async def proceed(self, cluster: Cluster, remediation: Remediation, observed: ObservedState) -> Hold:
        """Go on with the `remaining_pods`; return how far it is. Doing it twice changes nothing more.

        Raises:
            ClusterError: it can't go on (`Forbidden`), or not now.
        """
        ...


class WorkloadAction:
    """What is changed is the workload that the objective is about."""

    async def resolve_target(self, cluster: Reader, request: TargetRequest) -> ObjectRef | Hold:
        """Return the workload."""
        del cluster
        return request.workload


def has_helped(remediation: Remediation) -> bool | None:
    """Say whether the action helped; None while that is not known."""
    verified_condition = condition(remediation.status.conditions, "Verified")
    return (
        None
        if verified_condition is None or verified_condition.status == "Unknown"
        else verified_condition.status == "True"
    )


def undo_requested(remediation: Remediation) -> Hold | None:
    """Return that a person wants back now what was done; None where nobody has asked."""
    undo = remediation.undo
    return None if undo is None else Hold("UndoRequested", f"{undo.by or 'somebody'} asked to undo it: {undo.comment}")


def condition_of(remediation: Remediation, kind: str) -> Condition | None:
    """Return one condition of the remediation."""
    return condition(remediation.status.conditions, kind)


def title(ref: ObjectRef) -> str:
    """Return an object as people name it, such as `deployment shop/checkout`."""
    return f"{ref.kind.lower()} {ref.namespace}/{ref.name}" if ref.namespace else f"{ref.kind.lower()} {ref.name}"


async def find_target(cluster: Reader, target: ObjectRef) -> Mapping[str, Any] | Hold:
    """Return the object that `target` names, or, for people to act on, whether it is gone or another one has its name.

    Raises:
        ClusterError: the cluster could not say.
    """
    try:
        return await cluster.read(target)
    except NotFound as error:
        return await missing(cluster, target) or Hold("TargetGone", str(error))


async def missing(cluster: Reader, target: ObjectRef) -> Hold | None:
    """Return why `target` can't be found by its UID: it is gone, or another one has its name; None if it is there.

    Raises:
        ClusterError: the cluster could not say.
    """
    try:
        body = await cluster.read(target.model_copy(update={"uid": ""}))
    except NotFound:
        return Hold("TargetGone", f"{title(target)} does not exist any more; nothing is changed")
    if target.uid and body["metadata"]["uid"] != target.uid:
        return Hold(
            "TargetReplaced",
            f"{title(target)} was deleted and created anew since this was decided; the new one is left alone",
        )
    return None
