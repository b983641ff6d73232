"""The syntax tree of PromQL: immutable values, which can be cached, compared and used without the parser."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum


class MatchOp(Enum):
    """How a matcher compares."""

    Equal = "="
    NotEqual = "!="
    Re = "=~"
    NotRe = "!~"


class ValueType(Enum):
    """The type of an expression's value."""

    Scalar = "scalar"
    Vector = "vector"
    Matrix = "matrix"
    String = "string"


class Expr:
    """Any expression."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Matcher:
    """A matcher of a series selector."""

    op: MatchOp
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Matchers:
    """The matchers of a series selector."""

    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class VectorSelector(Expr):
    """A series selector; a metric's name in quotes is a matcher on `__name__`."""

    name: str | None
    matchers: Matchers
    offset: timedelta | None = None
    at: str | None = None
    """Such as `@ 10.500` or `@ end()`."""


@dataclass(frozen=True, slots=True)
class MatrixSelector(Expr):
    """A range selector."""

    vector_selector: VectorSelector
    range: timedelta


@dataclass(frozen=True, slots=True)
class SubqueryExpr(Expr):
    """A subquery: an expression evaluated every `step`."""

    expr: Expr
    range: timedelta
    step: timedelta | None = None
    offset: timedelta | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class NumberLiteral(Expr):
    """A number."""

    val: float


@dataclass(frozen=True, slots=True)
class StringLiteral(Expr):
    """A string."""

    val: str


@dataclass(frozen=True, slots=True)
class ParenExpr(Expr):
    """An expression in parentheses."""

    expr: Expr


@dataclass(frozen=True, slots=True)
class UnaryExpr(Expr):
    """The negative of an expression; a plus is dropped by the parser."""

    expr: Expr


@dataclass(frozen=True, slots=True)
class Function:
    """A function and its return type."""

    name: str
    return_type: ValueType


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A function's call."""

    func: Function
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels with their keyword: `by`, `without`, `on`, `ignoring`, `group_left` or `group_right`."""

    word: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AggregateExpr(Expr):
    """An aggregation."""

    op: str
    expr: Expr
    param: Expr | None = None
    modifier: Labels | None = None


@dataclass(frozen=True, slots=True)
class BinModifier:
    """The vector matching of a binary operator."""

    return_bool: bool = False
    matching: Labels | None = None
    group: Labels | None = None
    """`group_left` or `group_right`, with the labels to include."""
    fill: tuple[tuple[str, float], ...] = field(default=())
    """Values for unmatched series of one side: `fill_left`, `fill_right`."""


@dataclass(frozen=True, slots=True)
class BinaryExpr(Expr):
    """An operator between two expressions."""

    op: str
    lhs: Expr
    rhs: Expr
    modifier: BinModifier | None = None
