"""What a reason means to a person."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason."""

    meaning: str
    advice: str = ""
    """What to do; empty where nothing is wrong."""
