"""Reading and writing PromQL."""

import time

import pytest

from forestall.core.promql import check_query, check_selector
from forestall.core.promql.syntax import MATRIX, SCALAR, STRING, VECTOR, parse, render, value_type
from forestall.errors import InvalidQuery

HOSTILE = [  # they would end the process, or keep it busy for seconds, if the parser read them
    "(" * 8000 + "x" + ")" * 8000,
    "-" * 16000 + "x",
    "+".join(["x"] * 8000),
    "^".join(["x"] * 8000),
    "abs(" * 3000 + "x" + ")" * 3000,
    "x" + "[5m:]" * 3000,
    "x" + " or x" * 3000,
    "x" + " UNLESS x" * 1900,
    '# " \n' + "(" * 8000 + "x" + ")" * 8000 + '#"',
    "#'\n" + "(" * 8000,
    '"\\"' * 5000,
    "`" + "(" * 9000 + "`" + "(" * 5000,
    "\ud800" + "(" * 300,
]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("up # the end", "up{}"),
        ("up{a='b',c=`d\\n`}", r'up{a="b",c="d\\n"}'),
        (r'up{a="q\"\\\n\x41\u00e9"}', r'up{a="q\"\\' + "\\n" + 'Aé"}'),
        ('{"a.b","x y"="z"}', '{__name__="a.b","x y"="z"}'),
        ("x[5m:] @ end() offset -1h", "x{}[5m:] @ end() offset -1h"),
        ("x[1s500ms] offset 90m", "x{}[1500ms] offset 90m"),
        ("rate(x[5m] @ 10.5 offset 1d)", "rate(x{}[5m] @ 10.500 offset 1d)"),
        ("a + on() group_left(b) c", "a{} + on () group_left (b) c{}"),
        ("a > bool ignoring(b) c", "a{} > bool ignoring (b) c{}"),
        ("sum(x) without ()", "sum without ()(x{})"),
        ('sum by ("a.b", c) (x)', 'sum by ("a.b", c)(x{})'),
        ("topk(scalar(y), x)", "topk(scalar(y{}), x{})"),
        ('count_values("v\\"", x)', 'count_values("v\\"", x{})'),
        ("-x ^ 2 * Inf - NaN", "-x{} ^ 2 * Inf - NaN"),
        ("1e-320 + 0x1F + -Inf", "1e-320 + 31 + -Inf"),
    ],
)
def test_each_kind_of_expression_is_rendered_completely(text, written):
    assert render(parse(text)) == written


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("1 + time()", SCALAR),
        ("-(1)", SCALAR),
        ("1 + x", VECTOR),
        ("sum(x)", VECTOR),
        ("x[5m:]", MATRIX),
        ('("a")', STRING),
    ],
)
def test_the_type_of_an_expression_is_known(text, type_):
    assert value_type(parse(text)) == type_


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sum(rate(x[5m])", "unclosed left parenthesis"),
        ("nosuch(x)", "unknown function with name 'nosuch'"),
        ("rate(x)", "expected type"),
        ('x{a=~"("}', "illegal regex"),
        ("", "no expression"),
        ("x[5m]", "rate() or avg_over_time()"),
        ("x[5m:1m]", "rate() or avg_over_time()"),
        ('"a"', "a text, not numbers"),
        ("1 + 1", "reads no series"),
        ("vector(time())", "reads no series"),
        ('x{a="1" or a="2"}', "not PromQL: use a regular expression"),
        ("x @ -5", "after 1970"),
        ("x + 1_e2", "1_e2 is no number"),
        ('{a!="b"}', "at least one non-empty matcher"),
        ("{a!~'b'}", "at least one non-empty matcher"),
        ("rate(x[5m + 1m])", "signs, operators and parentheses in a range, step or offset"),
        ("rate(x[+5m])", "signs, operators and parentheses in a range, step or offset"),
        ("x offset -(5m)", "signs, operators and parentheses in a range, step or offset"),
        ("rate(x[5m] smoothed)", "`anchored` and `smoothed`"),
        ("h </ 3", "`</` and `>/`"),
        ("rate(x @ end() [5m])", "write it behind, as in x[5m] @ end()"),
        ("x" * 20000, "16384 are the most"),
        ("+".join(["x"] * 150), "100 levels deep"),
        ("+".join(["x"] * 500), "more than 400 brackets and operators"),
    ],
)
def test_an_invalid_query_is_rejected_with_a_helpful_message(text, message):
    with pytest.raises(InvalidQuery) as refusal:
        check_query(text)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate(x[5m])", "without functions and operators"),
        ("x + y", "without functions and operators"),
        ("(x)", "without functions and operators"),
        ("x[5m]", "without a range"),
        ("x[5m:1m]", "without a range"),
        ("x offset 5m", "without `offset` and `@`"),
        ("x @ start()", "without `offset` and `@`"),
        ("x{", "not PromQL"),
    ],
)
def test_only_a_plain_selector_is_a_selector(text, message):
    with pytest.raises(InvalidQuery) as refusal:
        check_selector(text)
    assert message in str(refusal.value)


@pytest.mark.parametrize("text", ["x", 'x{a="b"}', '{a="b"}', '{__name__=~".+"}', '{"a.b"}', "x{a!~'b|c'} # why"])
def test_a_plain_selector_is_accepted(text):
    check_selector(text)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:24]))
def test_deep_and_long_texts_are_rejected_quickly(text):
    started = time.perf_counter()
    with pytest.raises(InvalidQuery):
        check_query(text)
    assert time.perf_counter() - started < 60  # it ends, on a busy machine as well
