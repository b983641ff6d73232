"""How fresh the data behind a query is: which series to ask about, and what follows from the answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from forestall.core.promql import tree as ast
from forestall.core.promql.syntax import children, render_selector

_ABSENCE = frozenset({"absent", "absent_over_time"})


@dataclass(frozen=True, slots=True)
class Freshness:
    """When the worst-fed series selector of an expression last got a sample.

    A selector that finds nothing makes the whole expression unfed, except in four places: beside `or`, where the other
    side stands in for it; beside an `or` whose other side reads no series (``or vector(0)``); in `absent()`; and on the
    right of `unless`. In the second and third the expression has a value *because* the series are not there. That
    they are rightly not there is not known from the expression alone: such selectors are `doubts`, and something else
    must vouch for them.
    """

    selectors: frozenset[str]
    """The plain selectors to ask about, without `offset` and `@`."""
    rule: Literal["series", "all", "either", "unless", "absent"]
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
        if self.rule == "absent" or (self.rule == "either" and self._has_constant):
            # Of what is not whole, the part that is there must be fresh all the same.
            there += [sampled[s] for part in self._missing(sampled) for s in part.selectors if s in sampled]
            return min(there, default=math.inf)
        missing = (
            (self.rule == "all" and len(there) < len(parts))
            or (self.rule == "either" and not there)
            or (self.rule == "unless" and parts[0] is None)
        )
        return None if missing else min(there, default=math.inf)

    def doubts(self, sampled: Mapping[str, float]) -> frozenset[str]:
        """Return the selectors whose absence the expression's value rests on."""
        parts = self.parts[:1] if self.rule == "unless" else self.parts
        doubts = frozenset[str]().union(*(part.doubts(sampled) for part in parts))
        if self.rule == "absent" or (self.rule == "either" and self._has_constant):
            doubts |= {s for part in self._missing(sampled) for s in part.selectors if s not in sampled}
        return doubts

    def lacking(self, sampled: Mapping[str, float]) -> frozenset[str]:
        """Return the selectors for want of which the expression is unfed."""
        if self.bound(sampled) is not None:
            return frozenset()
        if self.rule == "series":
            return self.selectors
        parts = self.parts[:1] if self.rule == "unless" else self.parts
        return frozenset[str]().union(*(part.lacking(sampled) for part in parts))

    @property
    def _has_constant(self) -> bool:
        return any(not part.selectors for part in self.parts)

    def _missing(self, sampled: Mapping[str, float]) -> list["Freshness"]:
        return [part for part in self.parts if part.bound(sampled) is None]


def asks_for_absence(node: ast.Expr) -> bool:
    """Say whether an expression as a whole is `absent()`: 1 where nothing is there, and nothing where it is."""
    while isinstance(node, ast.ParenExpr):
        node = node.expr
    return isinstance(node, ast.Call) and node.func.name in _ABSENCE


def freshness_of(node: ast.Expr) -> Freshness:
    """Return the freshness of a syntax tree."""
    if isinstance(node, ast.VectorSelector):
        return Freshness(frozenset((render_selector(node),)), "series")
    parts = tuple(freshness_of(child) for child in children(node))
    selectors = frozenset[str]().union(*(part.selectors for part in parts))
    if asks_for_absence(node):
        return Freshness(selectors, "absent", parts)
    if len(parts) == 1:
        return parts[0]
    operator = node.op if isinstance(node, ast.BinaryExpr) else ""
    match operator:
        case "or":
            return Freshness(selectors, "either", parts)
        case "unless":
            return Freshness(selectors, "unless", parts)
        case _:
            return Freshness(selectors, "all", parts)
