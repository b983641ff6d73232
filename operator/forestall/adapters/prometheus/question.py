"""What is asked of a source, and what comes of it."""

from dataclasses import dataclass

from forestall.adapters.prometheus.query_outcomes import QueryOutcome
from forestall.ports import QueryFailure

_LIGHT_S = 3600.0
"""Queries that look at less of the past than this weigh the same."""


@dataclass(frozen=True, slots=True)
class Question:
    """One expression to ask."""

    text: str
    max_series: int
    joinable: bool = True
    reach: float = 0.0
    """How much of the past (s) it looks at."""
    owners: tuple[str, ...] = ()
    """The namespaces that ask it."""
    counts: bool = True
    """Whether it is one of the queries that a namespace may ask, and not one that belongs to another."""

    @property
    def weight(self) -> float:
        """What it costs the source, compared with a query for the present."""
        return max(1.0, self.reach / _LIGHT_S)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How fast a source is asked."""

    max_joined: int
    """How many questions are joined in one request."""
    at_once: int
    """How many requests are under way at once."""


Group = tuple[Question, ...]
"""The questions of one request."""
Outcome = QueryOutcome | QueryFailure
