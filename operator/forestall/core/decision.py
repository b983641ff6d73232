"""Decisions as data with their reason, which conditions, Events, metrics and Remediations read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """No action. `reason` is a CamelCase word for programs, `message` a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Act:
    """Run one rung of a policy's ladder; `message` says why."""

    rung: int
    action: str
    """Its name, such as Scale."""
    reason: str
    message: str
    replicas: int | None = None
    """For Scale: the replicas that the forecast needs, within the bounds of the policy."""
