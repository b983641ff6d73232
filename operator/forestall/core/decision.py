"""What is decided, as data that carries its reason: condition, Event, metric and journal all read it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is done. `reason` is one CamelCase word for programs, `message` says it to people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Act:
    """One rung of a policy's ladder is to be done, because of `message`."""

    rung: int
    action: str
    """Its name, such as Scale."""
    reason: str
    message: str
    replicas: int | None = None
    """For Scale: the replicas that the forecast asks for, already within the bounds."""
