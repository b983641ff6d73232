"""Join many queries into one request: each gets a marker label, and `or` joins them."""

from collections.abc import Sequence
from dataclasses import dataclass

from forestall.core.promql.freshness import Freshness, freshness_of
from forestall.core.promql.shape import has_many_names
from forestall.core.promql.stale import without_stale
from forestall.core.promql.syntax import query_tree, reach
from forestall.core.promql.text_cache import cached_by_text
from forestall.core.promql.vectors import to_instant_vector

MARKER = "__forestall_query"
"""The label with the number of the joined query that a series belongs to. Names that begin with two underscores are
reserved; a query that uses this one is sent alone."""


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A validated query, ready to be sent."""

    text: str
    """The expression; its type is instant vector."""
    freshness: Freshness
    joinable: bool
    """Whether it can be joined with other queries."""
    reach: float
    """How much of the past (s) it reads: its cost grows with this."""
    has_many_names: bool = False
    """Whether its series may be of several metrics, which only their names distinguish."""


@cached_by_text(characters=1 << 24)  # each cycle sends the same queries
def prepare(expr: str, evidence: str = "", newer_than: float = 0.0) -> PreparedQuery:
    """Return the query `expr`, ready to be sent; its freshness is that of the expression `evidence`, if given.

    Where `newer_than` (s) is given, it ignores series whose newest sample is older.

    Raises:
        InvalidQuery: `expr` is not a query for numbers.
    """
    tree = query_tree(expr)
    text = to_instant_vector(without_stale(tree, newer_than) if newer_than else tree)
    evidence_tree = query_tree(evidence) if evidence else tree
    return PreparedQuery(text, freshness_of(evidence_tree), MARKER not in text, reach(tree), has_many_names(tree))


def pack(texts: Sequence[str]) -> str:
    """Return one expression for the series of all `texts`; series of number n have the label `MARKER` with the value n.

    `texts` are of `prepare`, or evidence queries. A single expression is returned unchanged.
    """
    if len(texts) == 1:
        return texts[0]
    # The source label "" has the value "", which matches "": `label_replace` sets the label on every series.
    return " or ".join(f'label_replace({text}, "{MARKER}", "{n}", "", "")' for n, text in enumerate(texts))
