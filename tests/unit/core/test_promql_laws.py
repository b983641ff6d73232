"""Laws of PromQL handling, over random expressions of all kinds."""

from hypothesis import given
from hypothesis import strategies as st

from forestall.core.promql import check_query, check_selector, enforce_label, prepare, quote
from forestall.core.promql.syntax import parse, render, selectors
from forestall.errors import InvalidQuery

NAMES = st.sampled_from(["up", "x", "http_requests_total", "ns:rule:sum", "sum", "by", "start"])
LABELS = st.sampled_from(["a", "namespace", "le", "__name__x", "on", '"a.b"', '"x y"'])
DURATIONS = st.sampled_from(["5m", "90s", "1h30m", "1d", "1500ms", "7"])
QUOTES = st.sampled_from("\"'")


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.text('"\\\n\t{}#`,=~\x00\x7f\u2028', max_size=12)


@st.composite
def _literals(draw):
    quote, value = draw(QUOTES), draw(TEXTS)
    escaped = "".join(f"\\U{ord(c):08x}" if c in "\"'\\" or ord(c) < 32 else c for c in value)
    return f"{quote}{escaped}{quote}"


@st.composite
def _selectors(draw):
    matchers = draw(st.lists(st.tuples(LABELS, st.sampled_from(["=", "!="]), _literals()), max_size=3))
    regex = draw(st.sampled_from(["", 'z=~".+"', 'namespace=~"|.*"', 'namespace!~"mine"', 'namespace!="mine"']))
    written = ",".join(["".join(m) for m in matchers] + ([regex] if regex else []))
    comment = draw(st.sampled_from(["", " # } or x", "\n"]))
    return f"{draw(NAMES)}{{{written}}}{comment}\n" if written else draw(NAMES) + "{}"


@st.composite
def _moves(draw):
    at = draw(st.sampled_from(["", " @ 1700000000.5", " @ start()", " @ end()"]))
    offset = draw(st.sampled_from(["", " offset 5m", " offset -1d"]))
    return at + offset


@st.composite
def _ranges(draw, inner):
    if draw(st.booleans()):
        return f"{draw(_selectors())}[{draw(DURATIONS)}]{draw(_moves())}"
    step = draw(st.just("") | DURATIONS)
    return f"({draw(inner)})[{draw(DURATIONS)}:{step}]{draw(_moves())}"


def _vectors(inner):
    matching = st.sampled_from(["", "on()", "on(a) group_left(b)", "ignoring(a) group_right()", 'on("a.b")'])
    grouping = st.sampled_from(["", "by (a)", "without ()", 'by ("a.b", namespace)'])
    return st.one_of(
        st.builds("({} {} {} {})".format, inner, st.sampled_from(["+", "/", "%", "^", ">"]), matching, inner),
        st.builds("({} == bool {})".format, inner, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or", "unless", "or on()", "AND"]), inner),
        st.builds("sum {} ({})".format, grouping, inner),
        st.builds("topk {} (scalar({}), {})".format, grouping, inner, inner),
        st.builds("count_values({}, {})".format, _literals(), inner),
        st.builds("rate({})".format, _ranges(inner)),
        st.builds("quantile_over_time(0.9, {})".format, _ranges(inner)),
        st.builds('label_replace({}, "a", {}, "namespace", "(.*)")'.format, inner, _literals()),
        st.builds("absent({})".format, inner),
        st.builds("(-{})".format, inner),
        st.builds("clamp({}, -1, 1e6)".format, inner),
        st.builds("({} > {})".format, inner, st.sampled_from(["1", "0x1F", "-Inf", "NaN", "1e-9"])),
    )


EXPRESSIONS = st.recursive(st.builds("{}{}".format, _selectors(), _moves()), _vectors, max_leaves=6)


def matchers(text):
    """Return the matchers of each selector of an expression, in order."""
    return [[(str(m.op), m.name, m.value) for m in node.matchers.matchers] for node in selectors(parse(text))]


@given(EXPRESSIONS)
def test_rendering_loses_nothing(text):
    written = render(parse(text))
    assert render(parse(written)) == written
    assert matchers(written) == matchers(text)


@given(TEXTS)
def test_a_quoted_text_unquotes_to_itself(text):
    assert matchers(f"up{{a={quote(text)}}}") == [[("MatchOp.Equal", "a", text)]]


@given(st.text(max_size=60) | st.text("ab{}[]()\"'`\\#=~!,+-*/%^<>@:5m \n", max_size=60))
def test_any_text_parses_or_is_rejected(text):
    for check in (check_query, check_selector, prepare, lambda text: enforce_label(text, "namespace", "mine")):
        try:
            check(text)
        except InvalidQuery as error:
            assert str(error)  # noqa: PT017 - that it is refused is no law, only how


@given(EXPRESSIONS, TEXTS.filter(bool))
def test_the_label_is_enforced_on_each_selector_and_nothing_else_changes(text, value):
    enforced = enforce_label(text, "namespace", value)
    ours = ("MatchOp.Equal", "namespace", value)
    before, after = matchers(text), matchers(enforced)
    assert len(before) == len(after)
    assert after == [
        before_matchers if ours in before_matchers else [*before_matchers, ours] for before_matchers in before
    ]
    assert enforce_label(enforced, "namespace", value) == enforced


@given(EXPRESSIONS)
def test_a_prepared_query_has_the_same_selectors(text):
    prepared = prepare(text)
    assert matchers(prepared.text) == matchers(text)
    assert all(matchers(selector) for selector in prepared.freshness.selectors)
