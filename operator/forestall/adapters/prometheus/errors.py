"""What can go wrong with a request, sorted by whose fault it is, which decides what is tried next.

Both kinds stay inside the adapter: the port answers with a `QueryFailure` for each query.
"""

from forestall.errors import MetricsError
from forestall.ports import QueryFailure

LONGEST = 500
"""How many characters of what a source says are kept."""


class SourceTrouble(MetricsError):
    """The source can't answer anything now: no other query is worth a try.

    `passing`: the same request may well do a moment later. `load`: it may be this request that is too much.
    `doubtful`: it may be this request that it can't answer. `plain`: the message without what the source says, which
    may quote the query of another namespace.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        passing: bool = False,
        load: bool = False,
        doubtful: bool = False,
        plain: str = "",
    ) -> None:
        super().__init__(reason, message)
        self.plain = plain or message
        self.passing = passing
        self.load = load
        self.doubtful = doubtful


class QueryTrouble(MetricsError):
    """The source can't answer this request: one of the queries in it, or all of them together, is too much or wrong.

    `lasting`: the same query will not do later either. `load`: it may be the source that is too slow. `doubtful`: it
    may be the source that can't answer anything.
    """

    def __init__(
        self, reason: str, message: str, *, lasting: bool = False, load: bool = False, doubtful: bool = False
    ) -> None:
        super().__init__(reason, message)
        self.lasting = lasting
        self.load = load
        self.doubtful = doubtful


def failure(trouble: MetricsError) -> QueryFailure:
    """Return the answer that tells of `trouble`, with a message short enough for a condition."""
    return QueryFailure(trouble.reason, shortened(str(trouble)))


def reported_to_all(trouble: SourceTrouble) -> QueryFailure:
    """Return the answer that tells people of several namespaces of `trouble`."""
    return QueryFailure(trouble.reason, shortened(trouble.plain))


def shortened(text: str) -> str:
    """Return what a source says in one line, and not too long."""
    line = " ".join(text[: 4 * LONGEST].split())
    return line if len(line) <= LONGEST and len(text) <= 4 * LONGEST else f"{line[: LONGEST - 1]}…"
