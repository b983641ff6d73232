"""What the guards look at: the facts about one intended action, gathered before any guard is asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from forestall.core.risk import Signal


@dataclass(frozen=True, slots=True)
class Ended:
    """A remediation that has ended on the same target, or for the same policy and objective."""

    name: str
    phase: str
    at: float
    policy_uid: str
    policy_generation: int
    objective_uid: str
    episode: int
    reviewed: bool
    """Whether a person has given feedback on it."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A budget: `size` actions at once, refilled evenly over `per` seconds; `spent` are the times of past actions."""

    whose: str
    """In words, whose budget it is."""
    size: int
    per: float
    spent: Sequence[float]


@dataclass(frozen=True, slots=True)
class Nodes:
    """How many nodes are out of service, and how many may be."""

    cordoned: int
    most: int


@dataclass(frozen=True, slots=True)
class Context:
    """The facts about one intended action."""

    now: float
    action: str
    namespace: str
    policy_uid: str
    policy_generation: int
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
    """For Cordon; None where the nodes could not be counted."""
