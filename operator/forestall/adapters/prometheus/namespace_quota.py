"""How much of a source each namespace uses in one call, and when that is more than its share."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forestall.ports import QueryFailure

_DEAR = 0.2
"""Who used more than this part of its time in the last call is asked after the others."""


@dataclass(frozen=True, slots=True)
class NamespaceQuota:
    """What one namespace may use of a source in one call."""

    queries: int = 2000
    """How many different queries."""
    seconds: float = 10.0
    """Of the source's time: what its requests take, added up."""
    size: int = 32 << 20
    """How large (bytes) all answers together may be."""


@dataclass(slots=True)
class QuotaUsage:
    """What one namespace has used in one call."""

    queries: int = 0
    seconds: float = 0.0
    size: float = 0.0


class ExpensiveOwners:
    """What one source remembers from call to call: who was dear the last time."""

    def __init__(self) -> None:
        self._expensive: frozenset[str] = frozenset()

    def is_expensive(self, owner: str) -> bool:
        """Say whether a namespace took much of the source's time in the last call."""
        return owner in self._expensive

    def remember(self, meter: "UsageMeter") -> None:
        """Note what a call cost; who was dear and was not asked at all this time stays so."""
        self._expensive = frozenset(
            owner
            for owner, used in meter.used.items()
            if used.seconds > _DEAR * meter.share.seconds or (owner in self._expensive and not used.seconds)
        )


class UsageMeter:
    """Counts one call. A request for several namespaces is charged to each by its number of queries.

    A query that several namespaces ask is counted for each of them, and refused only where all are over their share:
    nobody is to suffer from what a stranger asks as well. Queries without an owner are nobody's, and are not counted.
    """

    def __init__(self, share: NamespaceQuota) -> None:
        self.share = share
        self.used: dict[str, QuotaUsage] = defaultdict(QuotaUsage)

    def ask(self, owners: Sequence[str]) -> QueryFailure | None:
        """Count a query that is about to be asked; return why it is not to be, where all its owners are over."""
        max_queries = self.share.queries
        over = [self.used[owner].queries >= max_queries for owner in owners]
        for owner in owners:
            self.used[owner].queries += 1
        return _over(owners[0], "queries", f"asks more than {max_queries} queries") if over and all(over) else None

    def refusal(self, owners: Sequence[str]) -> QueryFailure | None:
        """Return why what these namespaces ask is not asked any more; None where it may be."""
        over = [self._over(owner) for owner in owners]
        return over[0] if over and all(over) else None

    def charge(self, groups: Iterable[Sequence[str]], seconds: float, size: int) -> None:
        """Count a request: `groups` are the owners of each of its queries."""
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
