"""The questions to a source, and limits for the requests."""

from dataclasses import dataclass

from forestall.adapters.prometheus.query_outcomes import QueryOutcome
from forestall.ports import QueryFailure

_LIGHT_S = 3600.0
"""Queries over a shorter range than this (s) have the same weight."""


@dataclass(frozen=True, slots=True)
class Question:
    """One expression to evaluate."""

    text: str
    max_series: int
    joinable: bool = True
    reach: float = 0.0
    """The range (s) that it reads."""
    owners: tuple[str, ...] = ()
    """The namespaces whose objectives need it."""
    counts: bool = True
    """Whether it counts against the number of queries of a namespace; a further query that another one needs does
    not.
    """

    @property
    def weight(self) -> float:
        """Its cost for the source, relative to a query for the present."""
        return max(1.0, self.reach / _LIGHT_S)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How many questions and requests are sent at once."""

    max_joined: int
    """How many questions are joined in one request."""
    at_once: int
    """How many requests run at once."""


Group = tuple[Question, ...]
"""The questions of one request."""
Outcome = QueryOutcome | QueryFailure
