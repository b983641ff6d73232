"""Two tables of the error responses and of the warnings of all kinds of sources, with their meaning.

Source: the code of Prometheus 2.53 and 3, Thanos, Mimir, Cortex, and VictoriaMetrics (single node and cluster), and the
documentation of Amazon Managed Service for Prometheus (AMP) and Google Managed Service for Prometheus (GMP).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind of error response. Empty fields match everything; the first row that matches counts."""

    products: str
    trouble: str
    scope: Literal["source", "query"]
    """Whether the source as a whole is at fault, or the request, or perhaps only one of its queries."""
    reason: str
    """The reason of a condition."""
    statuses: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()
    """`errorType`, as text; for AMP and GMP what they have in its place."""
    text: str = ""
    """A part of the message, in lower case. Messages can contain text from tenants, so they never determine the scope
    alone.
    """
    transient: bool = False
    """The same request may succeed a moment later."""
    permanent: bool = False
    """The same query will fail later too."""
    may_overload: bool = False
    """The request may be too expensive for the source, now or in general."""
    ambiguous: bool = True
    """Some sources send the same response for a bad query and for their own failure: a probe finds out which."""
    advice: str = ""

    def matches(self, status: int, kind: str, text: str) -> bool:
        """Say whether a response matches this row; `text` is the message in lower case."""
        return (
            (not self.statuses or status in self.statuses)
            and (not self.kinds or kind in self.kinds)
            and self.text in text
        )


def _source(products: str, trouble: str, **fields: object) -> Refusal:
    return Refusal(products, trouble, "source", ambiguous=False, **fields)  # type: ignore[arg-type]


def _query(products: str, trouble: str, **fields: object) -> Refusal:
    return Refusal(products, trouble, "query", **fields)  # type: ignore[arg-type]


REFUSALS: Final = (
    _source(
        "Mimir, Cortex",
        "the tenant is not named",
        reason="SourceUnauthorized",
        statuses=(401,),
        text="no org id",
        advice="name the tenant: `spec.headers` with X-Scope-OrgID",
    ),
    _source(
        "all, proxies, AMP, GMP",
        "the credentials are missing or wrong",
        reason="SourceUnauthorized",
        statuses=(401, 403),
        advice="check its credentials",
    ),
    _source(
        "GMP", "the credentials are wrong", reason="SourceUnauthorized", kinds=("UNAUTHENTICATED", "PERMISSION_DENIED")
    ),
    _source("AMP", "too many requests", reason="SourceDown", kinds=("ThrottlingException",), transient=True),
    _source("GMP", "the quota is used up", reason="SourceDown", kinds=("RESOURCE_EXHAUSTED",), transient=True),
    _source(
        "Mimir, Cortex, VictoriaMetrics, proxies",
        "too many requests",
        reason="SourceDown",
        statuses=(429,),
        transient=True,
    ),
    _source("Mimir", "too many requests", reason="SourceDown", kinds=("too_many_requests",), transient=True),
    _query(
        "Prometheus, Thanos, Mimir, Cortex",
        "the query takes too long, or the store is too busy for it",
        reason="SourceTimeout",
        kinds=("timeout", "canceled"),
        may_overload=True,
    ),
    _query("GMP", "the query takes too long", reason="SourceTimeout", kinds=("DEADLINE_EXCEEDED",), may_overload=True),
    _query(
        "Mimir, Cortex, proxies", "the query takes too long", reason="SourceTimeout", statuses=(504,), may_overload=True
    ),
    _query(
        "Cortex, Mimir, proxies",
        "the request is too long",
        reason="QueryRefused",
        statuses=(413, 414),
        kinds=("", "bad_data"),
    ),
    _query(
        "Prometheus, Thanos, Mimir, Cortex",
        "the expression or a parameter is wrong",
        reason="QueryRefused",
        kinds=("bad_data",),
        permanent=True,
    ),
    _query(
        "VictoriaMetrics",
        "a parameter is wrong",
        reason="QueryRefused",
        statuses=(400,),
        kinds=("400",),
        permanent=True,
    ),
    _query("Cortex, Mimir, AMP, GMP, proxies", "the request is wrong", reason="QueryRefused", statuses=(400,)),
    _query(
        "Prometheus, Thanos, Mimir, Cortex",
        "the data do not suit the expression, a limit is passed, or no store is known (`No StoreAPIs …`)",
        reason="QueryRefused",
        kinds=("execution",),
    ),
    _query(
        "VictoriaMetrics, Mimir, Cortex",
        "the expression is wrong, a limit is passed, or a storage node is down",
        reason="QueryRefused",
        statuses=(422,),
    ),
    _source(
        "VictoriaMetrics cluster, Mimir, proxies",
        "storage nodes, or what is behind the proxy, are down",
        reason="SourceDown",
        statuses=(502, 503),
        transient=True,
    ),
    _source(
        "Mimir, GMP", "it is not available", reason="SourceDown", kinds=("unavailable", "UNAVAILABLE"), transient=True
    ),
    _source(
        "all, proxies",
        "there is no such path",
        reason="SourceBadAnswer",
        statuses=(404, 405),
        advice="check its url",
    ),
    _query(
        "Prometheus, Thanos, Mimir, Cortex, VictoriaMetrics, GMP",
        "an error inside, in the storage or about this query",
        reason="SourceBadAnswer",
        statuses=(500,),
        kinds=("internal", "server_error", "500", "INTERNAL", "none"),
        may_overload=True,
    ),
    _source("proxies", "the request took too long to arrive", reason="SourceDown", statuses=(408,), transient=True),
)
"""The error responses."""


class WarningKind(Enum):
    """What a warning means for the answer."""

    HINT = "nothing: the answer is whole"
    ABOUT_ONE = "one query of the request is not answered as it should be"
    PARTIAL = "the answer is not whole"


@dataclass(frozen=True, slots=True)
class WarningPattern:
    """How a warning begins or ends, and what it means. A warning that matches no row is `WarningKind.PARTIAL`."""

    products: str
    start: str
    end: str
    note: WarningKind


REMARKS: Final = (
    WarningPattern("Prometheus up to 2.53, Thanos, Mimir", "PromQL info", "", WarningKind.HINT),
    WarningPattern("Prometheus 3, Mimir, Cortex", "", "more info annotations omitted", WarningKind.HINT),
    WarningPattern("Prometheus, Thanos, Mimir, Cortex", "PromQL warning", "", WarningKind.ABOUT_ONE),
    WarningPattern("Prometheus 3, Mimir, Cortex", "", "more warning annotations omitted", WarningKind.ABOUT_ONE),
    WarningPattern("Prometheus up to 2.53", "", "more annotations omitted", WarningKind.ABOUT_ONE),
)
"""Patterns of the entries of an answer's list of warnings; its list `infos` has only hints."""


def refusal_of(status: int, kind: str, text: str) -> Refusal | None:
    """Return the meaning of an error response from its HTTP status, its `errorType` (empty where the body has none) and
    its message.
    """
    text = text.lower()
    return next((row for row in REFUSALS if row.matches(status, kind, text)), None)


def note_of(text: str) -> WarningKind:
    """Return the meaning of one of an answer's warnings."""
    for row in REMARKS:
        if text.startswith(row.start) and text.rstrip().endswith(row.end):
            return row.note
    return WarningKind.PARTIAL
