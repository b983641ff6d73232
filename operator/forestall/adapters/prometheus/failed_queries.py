"""Remembers failed queries, so that they cost little and fail no other queries the next time."""

from collections.abc import Iterable

from forestall.adapters.prometheus.errors import QueryTrouble
from forestall.ports import QueryFailure

ASK_AGAIN_S = 60.0
"""How long (s) a query that failed because of its data or its load is not sent again."""
ASK_WRONG_AGAIN_S = 600.0
"""How long (s) a query that the source can't parse is not sent again."""
APART_S = 600.0
"""How long (s) queries whose joint request failed are sent in smaller requests."""


class FailedQueries:
    """The failures of one source's queries, by expression; times are of a monotonic clock (s)."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[QueryFailure, float]] = {}
        self._smaller_requests: dict[str, tuple[int, float]] = {}
        self._suspects: dict[str, float] = {}

    def failure(self, text: str) -> QueryFailure | None:
        """Return the failure of the query while it is not to be sent again."""
        remembered = self._failures.get(text)
        return remembered[0] if remembered else None

    def most_together(self, text: str) -> int | None:
        """Return how many queries may share a request with this one; None: as many as usual."""
        remembered = self._smaller_requests.get(text)
        return remembered[0] if remembered else None

    def is_suspect(self, text: str) -> bool:
        """Say whether the query failed alone recently: then others are sent first."""
        return text in self._suspects

    def suspect(self, text: str, now: float) -> None:
        """Record that the query failed in a request of its own; the source may have been at fault."""
        self._suspects[text] = now + APART_S
        self.keep_apart((text,), 1, now)

    def failed(self, text: str, answer: QueryFailure, trouble: QueryTrouble, now: float) -> None:
        """Record that the query itself is at fault: it is not sent again for a while."""
        self._failures[text] = (answer, now + (ASK_WRONG_AGAIN_S if trouble.permanent else ASK_AGAIN_S))

    def keep_apart(self, texts: Iterable[str], max_joined: int, now: float) -> None:
        """Record that more than `max_joined` queries, including these, were too many for one request."""
        for text in texts:
            self._smaller_requests[text] = (max_joined, now + APART_S)

    def forget(self, now: float) -> None:
        """Forget expired records."""
        self._failures = {text: entry for text, entry in self._failures.items() if entry[1] > now}
        self._smaller_requests = {text: entry for text, entry in self._smaller_requests.items() if entry[1] > now}
        self._suspects = {text: until for text, until in self._suspects.items() if until > now}
