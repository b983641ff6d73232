"""The health of metric sources in a cycle, for the operator's own metrics and its probes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from forestall.ports import Answer, QueryFailure

TIMEOUT: Final = "SourceTimeout"
"""The reason of answers that came too late."""
OF_SOURCES: Final = frozenset({TIMEOUT, "SourceDown", "SourceUnauthorized", "SourceBadAnswer", "SourceMissing"})
"""Reasons about a source as a whole, or about its overload."""


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """The health of one source in a cycle."""

    up: bool
    """Whether the source answered at all, even by refusing a query."""
    late: bool
    """Whether any query timed out."""


def health_of(answers: Iterable[Answer | QueryFailure]) -> SourceHealth:
    """Return the health of a source that gave these answers."""
    reasons = [answer.reason if isinstance(answer, QueryFailure) else "" for answer in answers]
    return SourceHealth(up=any(reason not in OF_SOURCES for reason in reasons), late=TIMEOUT in reasons)
