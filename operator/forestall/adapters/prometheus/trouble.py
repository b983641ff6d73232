"""What can go wrong with a request, sorted by whose fault it is, which decides what is tried next.

Both kinds stay inside the adapter: the port answers with a `QueryFailure` for each query.
"""

from forestall.errors import MetricsError
from forestall.ports import QueryFailure

_LONGEST = 500


class SourceTrouble(MetricsError):
    """The source can't answer anything now: no other query is worth a try.

    `passing`: the same request may well do a moment later. `load`: it may be this request that is too much.
    """

    def __init__(self, reason: str, message: str, *, passing: bool = False, load: bool = False) -> None:
        super().__init__(reason, message)
        self.passing = passing
        self.load = load


class QueryTrouble(MetricsError):
    """The source can't answer this request: one of the queries in it, or all of them together, is too much or wrong.

    `lasting`: the same query will not do later either. `load`: it may be the source that is too slow.
    """

    def __init__(self, reason: str, message: str, *, lasting: bool = False, load: bool = False) -> None:
        super().__init__(reason, message)
        self.lasting = lasting
        self.load = load


def failure(trouble: MetricsError) -> QueryFailure:
    """Return the answer that tells of `trouble`, with a message short enough for a condition."""
    message = " ".join(str(trouble).split())
    return QueryFailure(trouble.reason, message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…")
