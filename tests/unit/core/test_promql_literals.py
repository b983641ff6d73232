"""Strings, numbers, durations and regular expressions of PromQL, read as Prometheus reads them.

The kind of fault: valid PromQL is refused or changed, and a text costs more than it is worth, because a library reads
it by rules of its own. That Prometheus agrees is tested on the real one, in `tests/adapters`.
"""

import time
import tracemalloc

import promql_parser
import pytest

from forestall.core.promql import check_query, enforce_label, error_ratio_of_histogram, traffic_of_histogram
from forestall.core.promql.regexes import check_regex
from forestall.core.promql.syntax import parse, render
from forestall.core.promql.text_cache import cached_by_text
from forestall.errors import InvalidQuery


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (r"x{a=~`\d+`}", r'x{a=~"\\d+"}'),
        (r'x{a=~"[\\w-]{1,253}"}', r'x{a=~"[\\w-]{1,253}"}'),
        (r'x{a=~"\\Q42\\E"}', r'x{a=~"\\Q42\\E"}'),
        ('x{a=~"[a[b]"}', 'x{a=~"[a[b]"}'),
        (r'x{a=~"\\07"}', r'x{a=~"\\07"}'),
        (r'x{a=~"(?i)a(?P<n>b)[]x][[:alpha:]]\\pN"}', r'x{a=~"(?i)a(?P<n>b)[]x][[:alpha:]]\\pN"}'),
        (r'x{a="caf\xc3\xa9"}', 'x{a="café"}'),
        (r'x{a="caf\303\251 caf\u00e9 \U0001F600"}', 'x{a="café café 😀"}'),
        (r'x{a="\xff\xc3"}', r'x{a="\xff\xc3"}'),
        (r'x{a="\a\b\f\v"}', r'x{a="\x07\x08\x0c\x0b"}'),
        ("""x{a='"',b="'",c='\\''}""", r"""x{a="\"",b="'",c="'"}"""),
        ("x{a=`a\n'\"`}", r"""x{a="a\n'\""}"""),
        ("x{a='#',b=`#`} # '", 'x{a="#",b="#"}'),
        ("x{ # }\n a='b'}", 'x{a="b"}'),
        ("x offset 0s", "x{}"),
        ("x offset -0h0m", "x{}"),
        ("x[5m] offset 0s", "x{}[5m]"),
        ("offset offset 5m - offset", "offset{} offset 5m - offset{}"),
        ("x + 010 + 08 + 1_000 + 0x_1F", "x{} + 8 + 8 + 1000 + 31"),
        ("x[010:1_0] @ 1_000", "x{}[8s:10s] @ 1000.000"),
        ("x / .5e-1_0", "x{} / 5e-11"),
        ("x + 1h30m", "x{} + 5400"),
        ('{a!=""} + {a!~".*"}', '{a!=""} + {a!~".*"}'),
        ('{"a"!= # b\n"",b!~"c",d!="e"} != 3', '{a!="",b!~"c",d!="e"} != 3'),
        ('label_replace(x, "a", "!=", "b", "!~")', 'label_replace(x{}, "a", "!=", "b", "!~")'),
        ("x + 1_0e1_0 + 0x1_F", "x{} + 100000000000 + 31"),
    ],
)
def test_literals_have_the_semantics_of_prometheus(text, written):
    if "[" in written and written.endswith(("]", "000")):
        text, written = f"rate({text})", f"rate({written})"
    check_query(text)
    assert render(parse(text)) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('x{a="0",b="1"}', 'x{a="0",b="1"}'),
        ('{"0","1"="0"}', '{__name__="0","1"="0"}'),
        ('sum by ("0", a) (x{"2"="1"})', 'sum by ("0", a)(x{"2"="1"})'),
        ('a + on("1") group_left("0") b', 'a{} + on ("1") group_left ("0") b{}'),
        ('label_replace(x{b="4"}, "3", "2", "1", "0")', 'label_replace(x{b="4"}, "3", "2", "1", "0")'),
        ('count_values("1", x{a="0"}) + 0', 'count_values("1", x{a="0"}) + 0'),
    ],
)
def test_no_string_is_taken_for_a_placeholder(text, written):
    assert render(parse(text)) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('x{a="', "does not end"),
        ("x{a='\n'}", "does not end"),
        ("x # c\n + `", "does not end"),
        (r'x{a="\d"}', r"unknown escape sequence \d"),
        (r'x{a="\07"}', r"unknown escape sequence \0"),
        (r'x{a="\400"}', "unknown escape"),
        ('x{a="\\\'"}', "unknown escape"),
        (r'x{a="\ud800"}', "is no character"),
        (r'x{a="\U00110000"}', "is no character"),
        ('x{"__name__"="y"}', "name is set twice"),
        ('x{"y"}', "name is set twice"),
        ('{a=~".*"}', "at least one non-empty matcher"),
        ('{a=""}', "at least one non-empty matcher"),
        ('{"0"!="1"}', "at least one non-empty matcher"),
        ('{a!~"b"}', "at least one non-empty matcher"),
        ("x + 1e400", "no number"),
        ("x + 1__0", "no number"),
        ("x + 1_.5", "no number"),
        ("x + 1._5", "no number"),
        ("x + 0x8000000000000000", "no number"),
        ("rate(x[1000000000d])", "at most 100y"),
        ("rate(x[99999999999999999999])", "at most 100y"),
        ("rate(x[99999999999999999999:1])", "at most 100y"),
        ("max_over_time(x[5m:1e18])", "at most 100y"),
        ("x offset 1e18", "at most 100y"),
        ("x offset -101y", "at most 100y"),
        ("x offset 99999999999999999999d", "at most 100y"),
        ("x offset NaN", "takes a duration"),
        ("x offset - inf", "takes a duration"),
        ("rate(x[1e-9])", "at least 1ms"),
        ("rate(x[0s])", "at least 1ms"),
        ("x @ 1e300", "before the year 10000"),
        ("x @ 0", "after 1970"),
        ("x{a='\ud800'}", "not PromQL"),
    ],
)
def test_a_query_that_no_source_could_answer_is_rejected_with_a_message(text, message):
    """The kind: a number of a query that no arithmetic holds (a range of a billion days, an offset of NaN)."""
    for check in (check_query, lambda text: enforce_label(text, "namespace", "mine")):
        with pytest.raises(InvalidQuery) as refusal:
            check(text)
        assert message in str(refusal.value)


def test_a_panic_of_the_parser_is_an_invalid_query(monkeypatch):
    """The kind: what a library raises is no Exception, so that it passes every handler and ends the process."""

    def panic(text):
        raise type("PanicException", (BaseException,), {})(f"cannot read {text}")

    monkeypatch.setattr("promql_parser.parse", panic)
    with pytest.raises(InvalidQuery, match="cannot read"):
        parse("a_text_that_panics")


def test_an_interrupt_is_raised(monkeypatch):
    def interrupt(text):
        raise KeyboardInterrupt

    monkeypatch.setattr("promql_parser.parse", interrupt)
    with pytest.raises(KeyboardInterrupt):
        parse("a_text_that_is_interrupted")


NO_REGEX = [
    *("(", "a)", "(?P<n>a", "[a", "[]", "[^]", "a\\", "*", "a|*", "(+)", "(?i)?"),
    *("(?=a)", "(?<!a)", "(?>a)", "\\1", "\\8", "a{1001}", "a{2,99999}"),
]
A_REGEX = [
    *("", "a{1000}", "a{,5}", "{", "{2", "a|b|", "(|a)", "[]a]", "[^]]", "[[:alpha:]]", "[a[b]", "[(]"),
    *(r"\Q(\E", r"\Q[(", r"\)", r"[\]]", r"\07", r"\123", r"\pL", r"\p{Greek}", r"\x{10FFFF}"),
    *("(?i)a", "(?i:a)", "(?P<n>a)", "(?<n>a)", "^*", "a??"),
]


@pytest.mark.parametrize("pattern", NO_REGEX)
def test_an_invalid_regular_expression_is_rejected(pattern):
    with pytest.raises(InvalidQuery, match="illegal regex"):
        check_regex(pattern)


@pytest.mark.parametrize("pattern", A_REGEX)
def test_a_regular_expression_in_doubt_is_left_to_the_source(pattern):
    check_regex(pattern)


COSTLY = [
    "max(x{" + ",".join(f'a{n}=~"\\\\pL{{160}}"' for n in range(20)) + "})",
    "max(x{" + ",".join(f'a{n}=~"\\\\pL{{1000}}"' for n in range(170)) + "})",
    'x{a=~"' + "(" * 2000 + ")" * 2000 + '"}',
    'x{a=~"' + "(a{9}" * 600 + ")" * 600 + '"}',
    'x{a=~"' + "[" * 4000 + '"}',
    'x{a=~"' + r"\\Q" * 1300 + '"}',
    'x{a=~"' + "a|" * 2000 + '"}',
    "x{a='" + '"`#' * 1300 + "'}",
    "x + " + "9" * 4000,
    "x + 0x" + "9" * 4000,
    "x + " + "9_" * 2000 + "9",
    "x offset " + "1d" * 2000,
    "rate(x[" + "9" * 4000 + "d])",
    "x{" + ",".join(["a='b'"] * 600) + "}",
    "x{" + "a" * 4000 + "='b'}",
    " " * 4000 + "x",
    "\\" * 4000,
    "'\\" * 2000,
    "offset " * 580,
    "offset-" * 580,
    "x offset " + "-" * 390 + " " * 3600 + "5m",
    "+".join(["x"] * 99),
    "(" * 98 + "x" + ")" * 98,
    "sum by (" + "a," * 2000 + ") (x)",
]


@pytest.mark.parametrize("text", COSTLY, ids=lambda text: ascii(text[:24]))
def test_the_longest_text_costs_little_whatever_its_content(text):
    """The kind: the cost of input before it is refused. No regular expression is compiled, whoever wrote it."""
    tracemalloc.start()
    began = time.process_time()
    try:
        enforce_label(text, "namespace", "mine")
    except InvalidQuery as refusal:
        assert len(str(refusal)) < 5000  # noqa: PT017 - that it is refused is no matter, only how
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 1
    assert peak < 16 << 20


def test_a_text_is_parsed_once_even_where_it_is_invalid(monkeypatch):
    """The kind: the cost of input that comes again in each cycle."""
    parsed: list[str] = []
    parser = promql_parser.parse

    def counted(text):
        parsed.append(text)
        return parser(text)

    monkeypatch.setattr("promql_parser.parse", counted)
    for _ in range(3):
        check_query('once_upon{a="b"}')
        with pytest.raises(InvalidQuery):
            check_query("once upon a time")
    assert len(parsed) == 2


@pytest.mark.parametrize(
    "histogram",
    [
        '{"http.server.request.duration",app="a"}',
        '{__name__="http.server.request.duration",app="a"}',
        '{app="a","http.server.request.duration"}',
    ],
)
def test_a_histogram_with_a_name_that_takes_quotes(histogram):
    classic = error_ratio_of_histogram(histogram, 0.5, native=False, window="5m")
    assert '{__name__="http.server.request.duration_count",app="a"}[5m]' in classic
    assert '{__name__="http.server.request.duration_bucket",app="a",le=~"' in classic
    native = traffic_of_histogram(histogram, native=True, window="5m")
    assert '"http.server.request.duration"' in native
    for text in (classic, native):
        check_query(text)
        assert text.count("{") == enforce_label(text, "namespace", "mine").count('namespace="mine"')


def test_a_histogram_s_plain_name_may_stand_in_the_braces():
    assert traffic_of_histogram('{__name__="h",a="b"}', native=False, window="5m") == 'sum(rate(h_count{a="b"}[5m]))'


@pytest.mark.parametrize("histogram", ['{__name__=~"h.*"}', '{"h",__name__!="g"}', '{"h.i","j.k"}'])
def test_a_histogram_has_one_name(histogram):
    with pytest.raises(InvalidQuery, match="name the histogram"):
        traffic_of_histogram(histogram, native=False, window="5m")


@pytest.mark.parametrize(
    ("text", "label", "value", "written"),
    [
        ('x{a="`"}', "namespace", '"', r'x{a="`",namespace="\""}'),
        ('x{a="0"}', "namespace", "0", 'x{a="0",namespace="0"}'),
        ('x{a=~`\\",namespace=~".*`}', "namespace", "mine", r'x{a=~"\\\",namespace=~\".*",namespace="mine"}'),
        ("x{a=`# } or x`} # `", "namespace", "mine", 'x{a="# } or x",namespace="mine"}'),
        ("x # `\n or y # `", "namespace", "mine", 'x{namespace="mine"} or y{namespace="mine"}'),
        (r'x{a="\x22} or y{b=\x22"}', "namespace", "mine", r'x{a="\"} or y{b=\"",namespace="mine"}'),
        (r'x{a="\xe2\x80\xa8"}', "namespace", "mine", 'x{a="\u2028",namespace="mine"}'),
        (r'x{a="\xc0\xa2}"}', "namespace", "mine", r'x{a="\xc0\xa2}",namespace="mine"}'),
        ('x{"namespace"=~".*"}', "namespace", "mine", 'x{namespace=~".*",namespace="mine"}'),
        (r'x{"name\x73pace"="theirs"}', "namespace", "mine", 'x{namespace="theirs",namespace="mine"}'),
        ('{"x\\"} or y"}', "namespace", "mine", r'{__name__="x\"} or y",namespace="mine"}'),
        ('x{"0"="namespace"}', "k8s.namespace", "a", 'x{"0"="namespace","k8s.namespace"="a"}'),
    ],
)
def test_no_string_hides_a_selector_from_label_enforcement(text, label, value, written):
    """The kind: text within a string that looks like the end of it, or like what stands for a string here."""
    assert enforce_label(text, label, value) == written


def test_the_cache_of_texts_is_limited_by_their_length():
    """The kind: memory that grows with what anybody writes, for as long as the process lives."""
    parsed: list[str] = []

    @cached_by_text(characters=2500)
    def length(text: str) -> int:
        parsed.append(text)
        return len(text)

    short, long = ["a", "b", "c"], ["x" * 1500, "y" * 1500]
    for text in (*short, *short, long[0], long[0], short[0], long[1], short[0], long[0]):
        assert length(text) == len(text)
    assert parsed == [*short, *long, long[0]]
    for number in range(3000):
        assert length("z" * number) == number
    assert length._weight <= 2500
