"""The input of the guards: the facts about one intended action, gathered before any guard is checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from forestall.core.risk import Signal
from forestall.core.traits import Traits
from forestall.core.windows import Window


@dataclass(frozen=True, slots=True)
class Ended:
    """An ended remediation of the same target, or of the same policy and objective."""

    name: str
    phase: str
    at: float
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


@dataclass(frozen=True, slots=True)
class Debt:
    """The usage of a budget that is not refilled yet, as recorded in the status of the Guardrail at a time (s)."""

    used: float
    at: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `size` actions at once, refilled evenly over `per` seconds; `spent` are times of past actions."""

    whose: str
    """Whose budget it is, for messages."""
    size: int
    per: float
    spent: Sequence[float]
    debt: Debt | None = None
    """The usage in the status of the Guardrail, also of actions whose Remediations were deleted since."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The availability of nodes, for an action that takes one out of service."""

    target: str
    """The name of the target node."""
    out: Sequence[str]
    """The other nodes that are unschedulable or not ready, or will be by remediations under way."""
    most: int
    """How many may be out of service at once."""
    left: int
    """How many other nodes accept the pods that the target accepts."""
    control_plane: bool = False
    """Whether the target is a control plane node."""
    control_planes_out: Sequence[str] = ()
    """Those of `out` that are control plane nodes."""
    homeless: str | None = None
    """For a drain: the first pod of the node that fits on no other node; None where all fit."""


@dataclass(frozen=True, slots=True)
class Storm:
    """The limits of a storm breaker, and the objectives that are at risk."""

    whose: str
    """Who defined it, for messages."""
    objectives: int
    """A storm has at least so many objectives,"""
    share: float
    """and at least this share of all objectives,"""
    within: float
    """that came at risk within so many seconds."""
    watched: Mapping[str, int]
    """The number of objectives, by namespace."""
    since: Sequence[tuple[str, float]]
    """The namespace of each objective at risk, and since when (s) it is at risk."""
    counted: dict[float, "Counted"] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Cached counts, by the time (s): they are the same for all decisions of a cycle."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many objectives came at risk together."""

    here: Mapping[str, int]
    """By namespace."""
    weight: int
    """In all namespaces, at most half a storm for each."""
    everywhere: int
    """In all namespaces."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget of the workload."""

    name: str
    allowed: int | None
    """Its `disruptionsAllowed`; None where the budget can't be interpreted."""
    words: str = ""
    """Why its controller allows no disruption, where it says so."""


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of a workload, and how many of them may be unavailable."""

    wanted: int
    ready: int
    spare: int
    """The `maxUnavailable` of its rollout, in pods."""
    budgets: Sequence[Budget] = ()
    bounded: bool = False
    """Whether its rollout replaces unready pods first, and no ready pod while more than `spare` are missing."""
    rolling: bool = False
    """Whether a rollout is under way that may still succeed."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Constraints of one intended action."""

    blackouts: Sequence[Window] = ()
    """The windows in which the action is forbidden."""
    maintenance: Sequence[Sequence[Window]] = ()
    """The windows outside of which the action is forbidden: one list for each Guardrail or policy that has any."""
    storms: Sequence[Storm] = ()
    protected: str | None = None
    """The object that its annotation protects, for messages."""
    pods: Pods | None = None
    """For actions that replace the pods of a workload; None where they could not be read or interpreted."""


@dataclass(frozen=True, slots=True)
class GuardInput:
    """The facts about one intended action."""

    now: float
    action: Traits
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
    live: str | None
    """The remediation that is under way on the same target."""
    cooldown: float
    """Seconds."""
    history: Sequence[Ended]
    """Ended remediations of the same target, or of the same policy and objective."""
    last_on_target: float | None
    """When (s) the last remediation of the target ended."""
    buckets: Sequence[Bucket]
    nodes: Nodes | None
    """For actions on a node; None where the nodes, or the pods to move, could not be listed."""
    around: Surroundings = Surroundings()
    skewed: str | None = None
    """The clock skew, as a message; None where the clocks agree."""
    rung: int | None = None
    """The number of the action's rung in the policy's ladder."""


def moment(at: float, zone: str) -> str:
    """Return a time (s) in a time zone, for messages, such as `2026-01-31 18:00 CET`."""
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %Z")
