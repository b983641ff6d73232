"""What is remembered of queries that failed, so that they cost little and spoil nothing the next time."""

from collections.abc import Iterable

from forestall.adapters.prometheus.errors import QueryTrouble
from forestall.ports import QueryFailure

ASK_AGAIN_S = 60.0
"""How long a query that failed for what its data are, or for its load, is not asked again."""
ASK_WRONG_AGAIN_S = 600.0
"""How long a query that the source does not understand is not asked again."""
APART_S = 600.0
"""How long queries whose common request failed are asked in smaller ones."""


class FailedQueries:
    """What one source made of single queries, by their texts; times are of a monotonic clock (s)."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[QueryFailure, float]] = {}
        self._smaller_requests: dict[str, tuple[int, float]] = {}
        self._suspects: dict[str, float] = {}

    def failure(self, text: str) -> QueryFailure | None:
        """Return how the query failed, while it is not to be asked again."""
        remembered = self._failures.get(text)
        return remembered[0] if remembered else None

    def most_together(self, text: str) -> int | None:
        """Return how many queries may be asked in one request with this one; None: as many as usual."""
        remembered = self._smaller_requests.get(text)
        return remembered[0] if remembered else None

    def is_suspect(self, text: str) -> bool:
        """Say whether the query failed alone not long ago: others go first."""
        return text in self._suspects

    def suspect(self, text: str, now: float) -> None:
        """Remember that the query failed although it was asked alone; it may have been the source."""
        self._suspects[text] = now + APART_S
        self.keep_apart((text,), 1, now)

    def failed(self, text: str, answer: QueryFailure, trouble: QueryTrouble, now: float) -> None:
        """Remember that the query failed for what it is: it is not asked again for a while."""
        self._failures[text] = (answer, now + (ASK_WRONG_AGAIN_S if trouble.lasting else ASK_AGAIN_S))

    def keep_apart(self, texts: Iterable[str], max_joined: int, now: float) -> None:
        """Remember that more than `most` queries, with these among them, were too many for one request."""
        for text in texts:
            self._smaller_requests[text] = (max_joined, now + APART_S)

    def forget(self, now: float) -> None:
        """Forget what is too old."""
        self._failures = {text: entry for text, entry in self._failures.items() if entry[1] > now}
        self._smaller_requests = {text: entry for text, entry in self._smaller_requests.items() if entry[1] > now}
        self._suspects = {text: until for text, until in self._suspects.items() if until > now}
