"""How fresh the data behind a query is: which series to ask about, and what follows from the answers."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from forestall.core.promql import tree as ast
from forestall.core.promql.looks import Look, Place
from forestall.core.promql.syntax import SCALAR, children, render_selector, value_type

_ABSENCE = frozenset({"absent", "absent_over_time"})


@dataclass(frozen=True, slots=True)
class Freshness:
    """When the worst-fed series selector of an expression last got a sample.

    A selector that finds nothing makes the whole expression unfed, except in four places: beside `or`, where the other
    side stands in for it; beside an `or` whose other side reads no series (``or vector(0)``); in `absent()`; and on the
    right of `unless`. In the second and third the expression has a value *because* the series are not there. That
    they are rightly not there is not known from the expression alone: such selectors are `doubts`, and something else
    must vouch for them.

    In all of these places, and in `scalar()`, what is there must also be seen: where an expression finds nothing of
    series that have samples, because these come too rarely for it, it has a value all the same, and a wrong one.
    Such ways to look are `looks`.
    """

    selectors: frozenset[str]
    """The plain selectors to ask about, without `offset` and `@`."""
    rule: Literal["series", "all", "either", "unless", "absent", "filled"]
    """One selector, or what holds between the parts; filled: as all, but there is a value where one finds nothing."""
    parts: tuple["Freshness", ...] = ()
    look: Look | None = None
    """How the one selector is looked at."""

    def newest(self, sampled: Mapping[str, float]) -> float | None:
        """Return when the worst-fed selector got its newest sample (s); None where one that is needed has none.

        `sampled` has the time (s) of the newest sample of each selector that found series, and of each look that did.
        """
        when = self.bound(sampled)
        return None if when is None or math.isinf(when) else when

    def bound(self, sampled: Mapping[str, float]) -> float | None:
        """Return as `newest`, but infinity where no sample is needed."""
        if self.rule == "series":
            (selector,) = self.selectors
            found = sampled.get(self.look.text) if self.look is not None and self.look.text else None
            return sampled.get(selector) if found is None else found
        parts = [part.bound(sampled) for part in self.parts]
        there = [when for when in parts if when is not None]
        if self.rule == "absent" or (self.rule == "either" and self._has_constant):
            # Of what is not whole, the part that is there must be fresh all the same.
            leaves = [leaf.bound(sampled) for part in self._missing(sampled) for leaf in part.leaves()]
            return min([*there, *(when for when in leaves if when is not None)], default=math.inf)
        missing = (
            (self.rule in ("all", "filled") and len(there) < len(parts))
            or (self.rule == "either" and not there)
            or (self.rule == "unless" and parts[0] is None)
        )
        return None if missing else min(there, default=math.inf)

    def doubts(self, sampled: Mapping[str, float]) -> frozenset[str]:
        """Return the selectors whose absence the expression's value rests on."""
        parts = self.parts[:1] if self.rule == "unless" else self.parts
        doubts = frozenset[str]().union(*(part.doubts(sampled) for part in parts))
        if self.rule == "absent" or (self.rule == "either" and self._has_constant):
            leaves = (leaf for part in self._missing(sampled) for leaf in part.leaves())
            doubts = doubts.union(*(leaf.selectors for leaf in leaves if leaf.bound(sampled) is None))
        return doubts

    def lacking(self, sampled: Mapping[str, float]) -> frozenset[str]:
        """Return the selectors for want of which the expression is unfed."""
        if self.bound(sampled) is not None:
            return frozenset()
        if self.rule == "series":
            return self.selectors
        parts = self.parts[:1] if self.rule == "unless" else self.parts
        return frozenset[str]().union(*(part.lacking(sampled) for part in parts))

    def looks(self, *, resting: bool = False) -> frozenset[Look]:
        """Return the looks that must find what is there, as the expression has a value where they find nothing.

        `resting`: this is part of an expression that has.
        """
        if self.look is not None:
            return frozenset((self.look,)) if resting else frozenset()
        if self.rule == "unless":
            return self.parts[0].looks(resting=resting) | self.parts[1].looks(resting=True)
        resting = resting or self.rule in ("either", "absent", "filled")
        return frozenset[Look]().union(*(part.looks(resting=resting) for part in self.parts))

    def alternatives(self) -> frozenset[str]:
        """Return the selectors that others stand in for, where they find nothing: that they do is no proof of why."""
        if self.rule == "either" and not self._has_constant:
            return self.selectors
        return frozenset[str]().union(*(part.alternatives() for part in self.parts))

    def leaves(self) -> Iterator["Freshness"]:
        """Yield the parts that are one selector."""
        if self.rule == "series":
            yield self
        for part in self.parts:
            yield from part.leaves()

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


def freshness_of(node: ast.Expr, place: Place | None = None) -> Freshness:
    """Return the freshness of a syntax tree, which stands in `place` of a query."""
    place = place or Place()
    if isinstance(node, ast.VectorSelector | ast.MatrixSelector):
        selector = render_selector(node if isinstance(node, ast.VectorSelector) else node.vector_selector)
        return Freshness(frozenset((selector,)), "series", look=place.look(node))
    rule = _rule(node)
    inner = place.into(node)
    places = (inner, inner.resting()) if rule == "unless" else (inner.resting() if rule in _RESTING else inner,) * 2
    below = children(node)
    parts = tuple(freshness_of(child, places[min(at, 1)]) for at, child in enumerate(below))
    selectors = frozenset[str]().union(*(part.selectors for part in parts))
    return parts[0] if rule == "all" and len(parts) == 1 else Freshness(selectors, rule, parts)


_RESTING = ("either", "absent", "filled")


def _rule(node: ast.Expr) -> Literal["all", "either", "unless", "absent", "filled"]:
    match node:
        case ast.Call() if node.func.name in _ABSENCE:
            return "absent"
        case ast.Call() if node.func.name == "scalar" and value_type(node) == SCALAR:
            return "filled"
        case ast.BinaryExpr(op="or"):
            return "either"
        case ast.BinaryExpr(op="unless"):
            return "unless"
        case ast.BinaryExpr() if node.modifier is not None and node.modifier.fill:
            return "filled"
    return "all"
