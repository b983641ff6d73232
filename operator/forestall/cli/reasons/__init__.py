"""What the reasons of decisions, conditions and Remediations mean, and what a person can do about each.

`explain` shows the advice; `docs/reference/reasons.md` is generated from here.
"""

from typing import Final

from forestall.cli.reasons.conditions import CONDITIONS
from forestall.cli.reasons.decisions import DECISIONS
from forestall.cli.reasons.outcomes import OUTCOMES
from forestall.cli.reasons.reason import Reason

ALL: Final = {"decisions": DECISIONS, "conditions": CONDITIONS, "outcomes": OUTCOMES}


def advice(reason: str) -> str:
    """Return what a person can do about a reason; empty where nothing is wrong, or nothing is known."""
    return next((group[reason].advice for group in ALL.values() if reason in group), "")


__all__ = ["ALL", "CONDITIONS", "DECISIONS", "OUTCOMES", "Reason", "advice"]
