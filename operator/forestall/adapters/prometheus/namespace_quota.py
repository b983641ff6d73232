"""Measures how much of a source each namespace uses in one call, and enforces its share."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forestall.ports import QueryFailure

_DEAR = 0.2
"""The part of its time share from which a namespace's queries are sent after the others in the next call."""


@dataclass(frozen=True, slots=True)
class NamespaceQuota:
    """The share of a source that one namespace may use in one call."""

    queries: int = 2000
    """The number of different queries."""
    seconds: float = 10.0
    """The sum of its requests' durations (s)."""
    size: int = 32 << 20
    """The size (bytes) of all responses together."""


@dataclass(slots=True)
class QuotaUsage:
    """What one namespace has used in one call."""

    queries: int = 0
    seconds: float = 0.0
    size: float = 0.0


class ExpensiveOwners:
    """Remembers from call to call which namespaces were expensive for one source."""

    def __init__(self) -> None:
        self._expensive: frozenset[str] = frozenset()

    def is_expensive(self, owner: str) -> bool:
        """Say whether a namespace used much of the source's time in the last call."""
        return owner in self._expensive

    def remember(self, meter: "UsageMeter") -> None:
        """Record the cost of a call; an expensive namespace whose queries were not sent in it stays expensive."""
        self._expensive = frozenset(
            owner
            for owner, used in meter.used.items()
            if used.seconds > _DEAR * meter.share.seconds or (owner in self._expensive and not used.seconds)
        )


class UsageMeter:
    """Meters one call. A request for several namespaces is charged to each by its number of queries.

    A query of several namespaces counts for each of them, and is refused only if all are over their share, so that no
    namespace suffers because another one sends the same query. Queries without an owner are not counted.
    """

    def __init__(self, share: NamespaceQuota) -> None:
        self.share = share
        self.used: dict[str, QuotaUsage] = defaultdict(QuotaUsage)

    def ask(self, owners: Sequence[str]) -> QueryFailure | None:
        """Count a query before it is sent; return why it must not be sent where all its owners are over their share."""
        max_queries = self.share.queries
        over = [self.used[owner].queries >= max_queries for owner in owners]
        for owner in owners:
            self.used[owner].queries += 1
        return _over(owners[0], "queries", f"asks more than {max_queries} queries") if over and all(over) else None

    def refusal(self, owners: Sequence[str]) -> QueryFailure | None:
        """Return why a query of these namespaces must not be sent; None where it may be."""
        over = [self._over(owner) for owner in owners]
        return over[0] if over and all(over) else None

    def charge(self, groups: Iterable[Sequence[str]], seconds: float, size: int) -> None:
        """Charge a request; `groups` are the owners of each of its queries."""
        parts: dict[str, float] = defaultdict(float)
        total = 0
        for owners in groups:
            total += 1
            for owner in owners:
                parts[owner] += 1 / len(owners)
        for owner, part in parts.items():
            self.used[owner].seconds += seconds * part / total
            self.used[owner].size += size * part / total

    def _over(self, owner: str) -> QueryFailure | None:
        used, share = self.used[owner], self.share
        if used.seconds >= share.seconds:
            return _over(owner, "time", f"took {used.seconds:.1f} s of the source's time, of {share.seconds:g} s")
        if used.size >= share.size:
            return _over(owner, "size", f"was answered with {used.size / (1 << 20):.0f} MiB, of {share.size >> 20} MiB")
        return None


def _over(owner: str, resource: str, message: str) -> QueryFailure:
    return QueryFailure(
        "ShareExhausted",
        f"namespace {owner} {message} that it has in a cycle (`spec.perNamespace.{resource}` of the MetricSource): "
        "ask fewer or cheaper queries, or ask an admin for more",
    )
