"""What the guards look at: the facts about one intended action, gathered before any guard is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from forestall.core.risk import Signal
from forestall.core.traits import Traits
from forestall.core.windows import Window


@dataclass(frozen=True, slots=True)
class Ended:
    """A remediation that has ended on the same target, or for the same policy and objective."""

    name: str
    phase: str
    at: float
    policy_uid: str
    objective_uid: str
    episode: int
    reviewed: bool
    """Whether a person has given feedback on it, or changed what the policy does since."""
    rung: int | None = None
    """Which rung of its policy's ladder it was."""
    action: str = ""
    """What was done."""
    refused: bool = False
    """Whether it ended because the API server refused it."""
    undone: bool = False
    """Whether a person wanted back what it did."""


@dataclass(frozen=True, slots=True)
class Debt:
    """What is gone from a budget and was not refilled yet, as it was written down at a time (s)."""

    used: float
    at: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """A budget: `size` actions at once, refilled evenly over `per` seconds; `spent` are the times of past actions."""

    whose: str
    """In words, whose budget it is."""
    size: int
    per: float
    spent: Sequence[float]
    debt: Debt | None = None
    """What the Guardrail knows to be gone, also of actions whose records were deleted since."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The cluster's nodes, when one of them is to be taken out of service."""

    target: str
    """Its name."""
    out: Sequence[str]
    """The other nodes that are unschedulable or not ready, or will be by what is under way."""
    most: int
    """How many may be out of service at once."""
    left: int
    """How many others take the pods that the target takes."""
    control_plane: bool = False
    """Whether the target is of the control plane."""
    control_planes_out: Sequence[str] = ()
    """Those of `out` that are."""
    homeless: str | None = None
    """For what empties the node: the first pod that would find no room on the others; None when each does."""


@dataclass(frozen=True, slots=True)
class Storm:
    """How much at risk at once is a storm, and how much is."""

    whose: str
    """In words, who said so."""
    objectives: int
    """So many objectives at the least."""
    share: float
    """And at least this share of those that are watched."""
    within: float
    """Seconds, within which they came at risk."""
    watched: Mapping[str, int]
    """How many objectives there are, by namespace."""
    since: Sequence[tuple[str, float]]
    """The namespace of each objective that is at risk, and since when (s) it is."""
    counted: dict[float, "Counted"] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was counted already, by the time (s): it is the same for every decision of a cycle."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many objectives came at risk together."""

    here: Mapping[str, int]
    """Of each namespace that has any."""
    weight: int
    """Of all namespaces, of none more than half a storm."""
    everywhere: int
    """Of all namespaces."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget that is about the workload."""

    name: str
    allowed: int | None
    """How many more pods may be missing now; None where the budget can't be understood."""
    words: str = ""
    """Why its controller lets none go, where it says so."""


@dataclass(frozen=True, slots=True)
class Pods:
    """Whether a workload can spare a pod."""

    wanted: int
    ready: int
    spare: int
    """How many pods its rollout may leave out."""
    budgets: Sequence[Budget] = ()
    bounded: bool = False
    """Whether its rollout replaces first what is not ready, and takes no ready pod beyond `spare` missing ones."""
    rolling: bool = False
    """Whether a rollout is under way that may yet succeed."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around one intended action."""

    blackouts: Sequence[Window] = ()
    """The windows in which the action is forbidden."""
    maintenance: Sequence[Sequence[Window]] = ()
    """The windows outside of which the action is forbidden: one list for each who gave some."""
    storms: Sequence[Storm] = ()
    protected: str | None = None
    """In words, what is protected by its annotation."""
    pods: Pods | None = None
    """For actions that replace the pods of a workload; None where it could not be read, or not be understood."""


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
    """Why nothing may be changed here now; None when it may."""
    allowed: bool
    """Whether the Guardrails allow this action in this namespace."""
    victim_of: str | None
    """The objective at risk that this one suffers from."""
    live: str | None
    """The remediation that is under way on the same target."""
    cooldown: float
    """Seconds."""
    history: Sequence[Ended]
    """Ended remediations of the same target, or of the same policy and objective."""
    last_on_target: float | None
    """When the last remediation of the target ended."""
    buckets: Sequence[Bucket]
    nodes: Nodes | None
    """For what is aimed at a node; None where the nodes, or the pods to be moved, could not be listed."""
    around: Surroundings = Surroundings()
    skewed: str | None = None
    """Why clocks are not to be trusted; None where they agree."""
    rung: int | None = None
    """Which rung of the policy's ladder the action is."""


def moment(at: float, zone: str) -> str:
    """Return a time (s) for people, in a time zone, such as `2026-01-31 18:00 CET`."""
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %Z")
