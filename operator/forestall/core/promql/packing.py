"""Many queries in one request: each is marked by a label of its own, and `or` joins them."""

from collections.abc import Sequence
from dataclasses import dataclass

from forestall.core.promql.freshness import Freshness, freshness_of
from forestall.core.promql.memory import remember
from forestall.core.promql.shape import has_many_names
from forestall.core.promql.syntax import query_tree, reach
from forestall.core.promql.vectors import vector_of

MARKER = "__forestall_query"
"""The label that says which of the joined queries a series belongs to: its number. Names that begin with two
underscores are not for users; a query that speaks of this one all the same is asked alone."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query that was checked, and can be asked."""

    text: str
    """The expression; its type is instant vector."""
    freshness: Freshness
    joinable: bool
    """Whether it can be joined with others."""
    reach: float
    """How much of the past (s) it looks at: what it costs the source grows with this."""
    named: bool = False
    """Whether its series may be of several metrics, so that their names are needed to tell them apart."""


@remember(characters=1 << 24)  # the same queries come again in each cycle
def prepare(expr: str, evidence: str = "") -> Prepared:
    """Return `expr` ready to be asked; its freshness is that of `evidence`, an expression, where one is given.

    Raises:
        InvalidQuery: it is not a query for numbers.
    """
    tree = query_tree(expr)
    text = vector_of(tree)
    proof = query_tree(evidence) if evidence else tree
    return Prepared(text, freshness_of(proof), MARKER not in text, reach(tree), has_many_names(tree))


def pack(texts: Sequence[str]) -> str:
    """Return one expression for the series of all `texts`, those of number n marked by `MARKER` with the value n.

    `texts` are of `prepare`, or of the questions in `evidence`. Alone, an expression stays as it is.
    """
    if len(texts) == 1:
        return texts[0]
    # The source label "" has the value "", which matches "": the label is set on every series.
    return " or ".join(f'label_replace({text}, "{MARKER}", "{n}", "", "")' for n, text in enumerate(texts))
