"""The errors of a request, by whether the source or a query is at fault: the retry depends on that.

Both stay inside the adapter: the port returns a `QueryFailure` for each query.
"""

from forestall.errors import MetricsError
from forestall.ports import QueryFailure

LONGEST = 500
"""How many characters of a source's message are kept."""


class SourceTrouble(MetricsError):
    """The source can't answer any query now, so no other query is tried.

    `transient`: the same request may succeed a moment later. `may_overload`: this request may be too expensive.
    `ambiguous`: this request alone may be at fault. `plain`: the message without the source's own text, which may quote
    the query of another namespace.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        transient: bool = False,
        may_overload: bool = False,
        ambiguous: bool = False,
        plain: str = "",
    ) -> None:
        super().__init__(reason, message)
        self.plain = plain or message
        self.transient = transient
        self.may_overload = may_overload
        self.ambiguous = ambiguous


class QueryTrouble(MetricsError):
    """The source can't answer this request: one of its queries is wrong or too expensive, or all of them together are.

    `permanent`: the same query will fail later too. `may_overload`: the source may be too slow. `ambiguous`: the source
    may be unable to answer any query.
    """

    def __init__(
        self, reason: str, message: str, *, permanent: bool = False, may_overload: bool = False, ambiguous: bool = False
    ) -> None:
        super().__init__(reason, message)
        self.permanent = permanent
        self.may_overload = may_overload
        self.ambiguous = ambiguous


def failure(trouble: MetricsError) -> QueryFailure:
    """Return the failure of a query by `trouble`, with a message short enough for a condition."""
    return QueryFailure(trouble.reason, shortened(str(trouble)))


def reported_to_all(trouble: SourceTrouble) -> QueryFailure:
    """Return the failure by `trouble` for queries of several namespaces, without text that belongs to one of them."""
    return QueryFailure(trouble.reason, shortened(trouble.plain))


def shortened(text: str) -> str:
    """Return a source's message as one line of limited length."""
    line = " ".join(text[: 4 * LONGEST].split())
    return line if len(line) <= LONGEST and len(text) <= 4 * LONGEST else f"{line[: LONGEST - 1]}…"
