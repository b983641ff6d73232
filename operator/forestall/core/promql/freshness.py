"""How fresh the data behind a query is: which selectors need evidence, and what follows from it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from forestall.core.promql import syntax_tree as ast
from forestall.core.promql.selector_reads import ReadContext, SelectorRead
from forestall.core.promql.syntax import SCALAR, children, render_selector, value_type

_ABSENCE = frozenset({"absent", "absent_over_time"})
_OPTIONAL_RULES = frozenset({"either", "absent", "filled"})
"""The rules of expressions that have a value where a part finds nothing."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh an expression is: the time of the newest sample of its stalest series selector.

    A selector without samples leaves the whole expression without data, except in four contexts: as an operand of `or`,
    whose other operand replaces it; as an operand of `or` with a constant (``or vector(0)``); in `absent()`; and on the
    right of `unless`. In the second and third the expression has a value *because* the series are absent. The
    expression alone does not show whether they should be absent: such selectors are `assumed_absent`, and need other
    evidence.

    In all of these places, and in `scalar()`, the query must not miss samples that exist: where samples come too rarely
    for it, the expression still has a value, and a wrong one. Such reads of a selector are `required_reads`.
    """

    selectors: frozenset[str]
    """The selectors that need evidence, without `offset` and `@`."""
    rule: Literal["series", "all", "either", "unless", "absent", "filled"]
    """`series` for one selector, otherwise how the parts combine; `filled`: as `all`, but with a value where a part has
    none."""
    parts: tuple["Freshness", ...] = ()
    read: SelectorRead | None = None
    """How the expression reads the selector, with the rule `series`."""

    def newest(self, sampled: Mapping[str, float]) -> float | None:
        """Return the time (s) of the newest sample of the stalest selector; None where a needed selector has none.

        `sampled` has the time (s) of the newest sample of each selector, and of each read, that has one.
        """
        newest = self.newest_or_inf(sampled)
        return None if newest is None or math.isinf(newest) else newest

    def newest_or_inf(self, sampled: Mapping[str, float]) -> float | None:
        """Return as `newest`, but infinity where no sample is needed."""
        if self.rule == "series":
            (selector,) = self.selectors
            sampled_at = sampled.get(self.read.text) if self.read is not None and self.read.text else None
            return sampled.get(selector) if sampled_at is None else sampled_at
        parts = [part.newest_or_inf(sampled) for part in self.parts]
        present = [newest for newest in parts if newest is not None]
        if self.rule == "absent" or (self.rule == "either" and self._has_constant):
            # Of an incomplete part, the selectors that have samples must be fresh.
            leaves = [leaf.newest_or_inf(sampled) for part in self._absent_parts(sampled) for leaf in part.leaves()]
            return min([*present, *(when for when in leaves if when is not None)], default=math.inf)
        is_unfed = (
            (self.rule in ("all", "filled") and len(present) < len(parts))
            or (self.rule == "either" and not present)
            or (self.rule == "unless" and parts[0] is None)
        )
        return None if is_unfed else min(present, default=math.inf)

    def assumed_absent(self, sampled: Mapping[str, float]) -> frozenset[str]:
        """Return the absent selectors because of which the expression has its value."""
        parts = self.parts[:1] if self.rule == "unless" else self.parts
        doubts = frozenset[str]().union(*(part.assumed_absent(sampled) for part in parts))
        if self.rule == "absent" or (self.rule == "either" and self._has_constant):
            leaves = (leaf for part in self._absent_parts(sampled) for leaf in part.leaves())
            doubts = doubts.union(*(leaf.selectors for leaf in leaves if leaf.newest_or_inf(sampled) is None))
        return doubts

    def missing_selectors(self, sampled: Mapping[str, float]) -> frozenset[str]:
        """Return the absent selectors because of which the expression has no data."""
        if self.newest_or_inf(sampled) is not None:
            return frozenset()
        if self.rule == "series":
            return self.selectors
        parts = self.parts[:1] if self.rule == "unless" else self.parts
        return frozenset[str]().union(*(part.missing_selectors(sampled) for part in parts))

    def required_reads(self, *, optional: bool = False) -> frozenset[SelectorRead]:
        """Return the reads that must not miss samples, as the expression has a value without them too.

        `optional`: this is part of such an expression.
        """
        if self.read is not None:
            return frozenset((self.read,)) if optional else frozenset()
        if self.rule == "unless":
            return self.parts[0].required_reads(optional=optional) | self.parts[1].required_reads(optional=True)
        optional = optional or self.rule in _OPTIONAL_RULES
        return frozenset[SelectorRead]().union(*(part.required_reads(optional=optional) for part in self.parts))

    def alternatives(self) -> frozenset[str]:
        """Return the selectors that another operand of `or` replaces where they are absent."""
        if self.rule == "either" and not self._has_constant:
            return self.selectors
        return frozenset[str]().union(*(part.alternatives() for part in self.parts))

    def leaves(self) -> Iterator["Freshness"]:
        """Yield the parts with the rule `series`."""
        if self.rule == "series":
            yield self
        for part in self.parts:
            yield from part.leaves()

    @property
    def _has_constant(self) -> bool:
        return any(not part.selectors for part in self.parts)

    def _absent_parts(self, sampled: Mapping[str, float]) -> list["Freshness"]:
        return [part for part in self.parts if part.newest_or_inf(sampled) is None]


def is_absence_test(node: ast.Expr) -> bool:
    """Return whether an expression as a whole is `absent()`: 1 where the series are absent, otherwise empty."""
    while isinstance(node, ast.ParenExpr):
        node = node.expr
    return isinstance(node, ast.Call) and node.func.name in _ABSENCE


def freshness_of(node: ast.Expr, context: ReadContext | None = None) -> Freshness:
    """Return the freshness of a syntax tree, which stands in a query as `context` says."""
    context = context or ReadContext()
    if isinstance(node, ast.VectorSelector | ast.MatrixSelector):
        selector = render_selector(node if isinstance(node, ast.VectorSelector) else node.vector_selector)
        return Freshness(frozenset((selector,)), "series", read=context.read_of(node))
    rule = _rule(node)
    inner = context.for_children(node)
    contexts = (
        (inner, inner.as_optional())
        if rule == "unless"
        else (inner.as_optional() if rule in _OPTIONAL_RULES else inner,) * 2
    )
    operands = children(node)
    parts = tuple(freshness_of(child, contexts[min(index, 1)]) for index, child in enumerate(operands))
    selectors = frozenset[str]().union(*(part.selectors for part in parts))
    return parts[0] if rule == "all" and len(parts) == 1 else Freshness(selectors, rule, parts)


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
