"""The input of the guards: the facts about one intended action, gathered before any guard is checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from forestall.core.risk import Signal
from forestall.core.traits import ActionTraits
from forestall.core.windows import TimeWindow


@dataclass(frozen=True, slots=True)
class EndedRemediation:
    """An ended remediation of the same target, or of the same policy and objective."""

    name: str
    phase: str
    ended_at: float
    policy_uid: str
    objective_uid: str
    episode: int
    reviewed: bool
    """Whether a person has given feedback on it, or has changed the policy's behavior since."""
    rung: int | None = None
    """The number of its rung in the policy's ladder."""
    action: str = ""
    """The name of its action."""
    refused: bool = False
    """Whether it ended because the API server rejected it."""
    undone: bool = False
    """Whether a person has undone it."""
    contained: bool = False
    """Whether the risk stayed after an action that was not meant to lower it."""


@dataclass(frozen=True, slots=True)
class RecordedUsage:
    """The usage of a budget that is not refilled yet, as recorded in the status of the Guardrail at a time (s)."""

    used: float
    at: float


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A token bucket: `size` actions at once, refilled evenly over `per` seconds; `spent` are times of past actions."""

    owner: str
    """Whose budget it is, for messages."""
    size: int
    per: float
    spent: Sequence[float]
    recorded_usage: RecordedUsage | None = None
    """The usage in the status of the Guardrail, also of actions whose Remediations were deleted since."""


@dataclass(frozen=True, slots=True)
class NodeAvailability:
    """The availability of nodes, for an action that takes one out of service."""

    target: str
    """The name of the target node."""
    unavailable: Sequence[str]
    """The other nodes that are unschedulable or not ready, or will be by remediations under way."""
    max_unavailable: int
    """How many may be out of service at once."""
    equivalent_nodes: int
    """How many other nodes accept the pods that the target accepts."""
    control_plane: bool = False
    """Whether the target is a control plane node."""
    control_planes_unavailable: Sequence[str] = ()
    """Those of `unavailable` that are control plane nodes."""
    unschedulable_pod: str | None = None
    """For a drain: the first pod of the node that fits on no other node; None where all fit."""


@dataclass(frozen=True, slots=True)
class StormCheck:
    """The limits of a storm breaker, and the objectives that are at risk."""

    owner: str
    """Who defined it, for messages."""
    objectives: int
    """A storm has at least so many objectives,"""
    share: float
    """and at least this share of all objectives,"""
    within: float
    """that came at risk within so many seconds."""
    objectives_by_namespace: Mapping[str, int]
    """The number of objectives, by namespace."""
    at_risk_since: Sequence[tuple[str, float]]
    """The namespace of each objective at risk, and since when (s) it is at risk."""
    cached_counts: dict[float, "StormCounts"] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Cached counts, by the time (s): they are the same for all decisions of a cycle."""


@dataclass(frozen=True, slots=True)
class StormCounts:
    """How many objectives came at risk together."""

    by_namespace: Mapping[str, int]
    """By namespace."""
    capped_total: int
    """In all namespaces, at most half a storm for each."""
    total: int
    """In all namespaces."""


@dataclass(frozen=True, slots=True)
class DisruptionBudget:
    """A PodDisruptionBudget of the workload."""

    name: str
    disruptions_allowed: int | None
    """Its `disruptionsAllowed`; None where the budget can't be interpreted."""
    message: str = ""
    """Why its controller allows no disruption, where it says so."""


@dataclass(frozen=True, slots=True)
class WorkloadPods:
    """The pods of a workload, and how many of them may be unavailable."""

    desired: int
    ready: int
    max_unavailable: int
    """The `maxUnavailable` of its rollout, in pods."""
    budgets: Sequence[DisruptionBudget] = ()
    is_bounded: bool = False
    """Whether its rollout replaces unready pods first, no ready pod while more than `max_unavailable` are missing."""
    is_rolling: bool = False
    """Whether a rollout is under way that may still succeed."""


@dataclass(frozen=True, slots=True)
class Constraints:
    """Constraints of one intended action."""

    blackout_windows: Sequence[TimeWindow] = ()
    """The windows in which the action is forbidden."""
    maintenance_windows: Sequence[Sequence[TimeWindow]] = ()
    """The windows outside of which the action is forbidden: one list for each Guardrail or policy that has any."""
    storm_checks: Sequence[StormCheck] = ()
    protected: str | None = None
    """The object that its annotation protects, for messages."""
    pods: WorkloadPods | None = None
    """For actions that replace the pods of a workload; None where they could not be read or interpreted."""


@dataclass(frozen=True, slots=True)
class GuardInput:
    """The facts about one intended action."""

    now: float
    action: ActionTraits
    namespace: str
    policy_uid: str
    objective_uid: str
    episode: int
    cause: Signal
    suspended: bool
    """Whether the policy is suspended."""
    paused: str | None
    """Why a pause forbids changes; None where none does."""
    allowed: bool
    """Whether the Guardrails allow this action in this namespace."""
    victim_of: str | None
    """The objective at risk that this objective is a victim of."""
    active_remediation: str | None
    """The remediation that is under way on the same target."""
    cooldown: float
    """Seconds."""
    history: Sequence[EndedRemediation]
    """Ended remediations of the same target, or of the same policy and objective."""
    last_ended_at: float | None
    """When (s) the last remediation of the target ended."""
    buckets: Sequence[TokenBucket]
    nodes: NodeAvailability | None
    """For actions on a node; None where the nodes, or the pods to move, could not be listed."""
    constraints: Constraints = Constraints()
    clock_skew: str | None = None
    """The clock skew, as a message; None where the clocks agree."""
    rung: int | None = None
    """The number of the action's rung in the policy's ladder."""


def format_local_time(at: float, zone: str) -> str:
    """Return a time (s) in a time zone, for messages, such as `2026-01-31 18:00 CET`."""
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %Z")
