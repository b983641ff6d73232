"""How the metric sources did in a cycle, for the operator's own metrics and its probes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from forestall.ports import Answer, QueryFailure

TIMEOUT: Final = "SourceTimeout"
"""The reason of what came too late."""
OF_SOURCES: Final = frozenset({TIMEOUT, "SourceDown", "SourceUnauthorized", "SourceBadAnswer", "SourceMissing"})
"""Reasons that are about a source, or about what is too much for it."""


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How one source did."""

    up: bool
    """Whether it answered anything, be it that it refused a query."""
    late: bool
    """Whether any query had no answer in time."""


def health_of(answers: Iterable[Answer | QueryFailure]) -> SourceHealth:
    """Return how a source did that gave these answers."""
    reasons = [answer.reason if isinstance(answer, QueryFailure) else "" for answer in answers]
    return SourceHealth(up=any(reason not in OF_SOURCES for reason in reasons), late=TIMEOUT in reasons)
