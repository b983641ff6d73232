"""How fresh the data behind a query is: which series to ask about, and what follows from the answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from forestall.core.promql import tree as ast
from forestall.core.promql.syntax import children, render_selector


@dataclass(frozen=True, slots=True)
class Freshness:
    """When the worst-fed series selector of an expression last got a sample.

    A selector that finds nothing makes the whole expression unfed, except beside `or`, where the other side stands
    in for it, and on the right of `unless`. A side of `or` that reads no series (``or vector(0)``) lets the other side
    be empty, but vouches for nothing itself.
    """

    selectors: frozenset[str]
    """The plain selectors to ask about, without `offset` and `@`."""
    rule: Literal["series", "all", "either", "unless"]
    """One selector, or what holds between the parts."""
    parts: tuple["Freshness", ...] = ()

    def newest(self, sampled: Mapping[str, float]) -> float | None:
        """Return when the worst-fed selector got its newest sample (s); None where one that is needed has none.

        `sampled` has the time (s) of the newest sample of each selector that found series.
        """
        when = self.bound(sampled)
        return None if when is None or math.isinf(when) else when

    def bound(self, sampled: Mapping[str, float]) -> float | None:
        """Return as `newest`, but infinity where no sample is needed."""
        if self.rule == "series":
            (selector,) = self.selectors
            return sampled.get(selector)
        parts = [part.bound(sampled) for part in self.parts]
        there = [when for when in parts if when is not None]
        missing = (
            (self.rule == "all" and len(there) < len(parts))
            or (self.rule == "either" and not there)
            or (self.rule == "unless" and parts[0] is None)
        )
        return None if missing else min(there, default=math.inf)


def freshness_of(node: ast.Expr) -> Freshness:
    """Return the freshness of a syntax tree."""
    if isinstance(node, ast.VectorSelector):
        return Freshness(frozenset((render_selector(node),)), "series")
    parts = tuple(freshness_of(child) for child in children(node))
    if len(parts) == 1:
        return parts[0]
    operator = node.op if isinstance(node, ast.BinaryExpr) else ""
    selectors = frozenset[str]().union(*(part.selectors for part in parts))
    match operator:
        case "or":
            return Freshness(selectors, "either", parts)
        case "unless":
            return Freshness(selectors, "unless", parts)
        case _:
            return Freshness(selectors, "all", parts)
