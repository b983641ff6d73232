"""Indicators as PromQL, one tenant's label, freshness, and many queries in one.

What the expressions answer is tested on a real Prometheus.
"""

import pytest

from forestall.core import promql
from forestall.core.promql.syntax import parse, selectors
from forestall.errors import InvalidDuration, InvalidQuery


def test_bad_counter_over_total():
    assert promql.error_ratio_of_counters(bad='e{a="1"}', total="t # all", window="5m") == (
        'clamp((sum(rate(e{a="1"}[5m])) or vector(0)) / (sum(rate(t{}[5m])) > 0), 0, 1)'
    )


def test_good_counter_over_total():
    assert promql.error_ratio_of_counters(good="g", total="t", window="5m") == (
        "clamp(1 - sum(rate(g{}[5m])) / (sum(rate(t{}[5m])) > 0), 0, 1)"
    )


@pytest.mark.parametrize("counters", [{}, {"good": "g", "bad": "b"}])
def test_exactly_one_of_good_and_bad(counters):
    with pytest.raises(InvalidQuery, match="exactly one"):
        promql.error_ratio_of_counters(total="t", window="5m", **counters)


def test_native_histogram():
    assert promql.error_ratio_of_histogram("h", 0.25, native=True, window="5m") == (
        "clamp(1 - (histogram_fraction(-Inf, 0.25, sum(rate(h{}[5m]))) >= 0), 0, 1)"
    )


@pytest.mark.parametrize(
    ("bound", "spellings"),
    [
        (0.25, ["0.25", "0.250", "2.5e-1", "2.5e-01"]),
        (1.0, ["1", "1.0", "1.000"]),
        (0.29 * 1000, ["290", "290.0"]),
        (0.57 * 1000, ["570", "570.0"]),
        (1e6, ["1000000", "1000000.0", "1e+06", "1e6", "1.0E6", "1.0e+06"]),
        (0.00001, ["0.00001", "1e-05", "1.0E-5"]),
        (120.0, ["120", "120.0", "1.2e+02"]),
    ],
)
def test_a_bucket_is_matched_in_all_spellings_of_its_bound(bound, spellings):
    text = promql.error_ratio_of_histogram("h", bound, native=False, window="5m")
    listed, relisted = [
        m.value.replace("\\", "").split("|") for node in selectors(parse(text)) for m in node.matchers.matchers
    ]
    assert listed == relisted
    assert set(spellings) <= set(listed)
    assert [float(spelling) for spelling in listed] == pytest.approx([bound] * len(listed))


@pytest.mark.parametrize(
    ("histogram", "message"),
    [
        ('{app="shop"}', "name the histogram"),
        ("h_bucket", "without its suffix: h"),
        ("latency_seconds_count", "without its suffix: latency_seconds"),
        ('h{le="1"}', "leave `le` out"),
        ("rate(h[5m])", "without functions"),
    ],
)
def test_an_invalid_histogram_is_rejected(histogram, message):
    with pytest.raises(InvalidQuery, match=message):
        promql.error_ratio_of_histogram(histogram, 1, native=False, window="5m")


@pytest.mark.parametrize(("operator", "bad"), [("lt", ">="), ("lte", ">"), ("gt", "<="), ("gte", "<")])
def test_a_threshold_is_passed_on_the_side_that_is_not_good(operator, bad):
    assert promql.error_ratio_of_threshold("q", operator, -0.5, window="5m", resolution="30s") == (
        f"avg_over_time((((q{{}}) <= Inf) {bad} bool -0.5)[5m:30000ms])"
    )


def test_a_scalar_can_have_a_threshold():
    text = promql.error_ratio_of_threshold("scalar(q)", "lt", 1, window="5m", resolution="30s")
    assert text.startswith("avg_over_time(((vector(scalar(q{})) <= Inf) >= bool 1)")


def test_a_long_window_is_evaluated_less_often():
    text = promql.error_ratio_of_threshold("q", "lt", 1, window="30d", resolution="30s")
    assert "[30d:260000ms]" in text


def test_the_window_is_filled_in():
    text = promql.error_ratio_of_query("errors{w='$window'} / sum_over_time(x[$window])", window="5m")
    assert text == 'errors{w="5m"} / sum_over_time(x{}[5m])'


@pytest.mark.parametrize(
    "build",
    [
        lambda w: promql.error_ratio_of_counters(good="g", total="t", window=w),
        lambda w: promql.error_ratio_of_histogram("h", 1, native=True, window=w),
        lambda w: promql.error_ratio_of_threshold("q", "lt", 1, window=w, resolution="30s"),
        lambda w: promql.error_ratio_of_threshold("q", "lt", 1, window="5m", resolution=w),
        lambda w: promql.error_ratio_of_query("q", window=w),
    ],
)
def test_a_window_that_is_no_duration_is_rejected(build):
    with pytest.raises(InvalidDuration):
        build("5m]) or x[5m")


def test_a_label_without_a_value_is_not_enforced():
    with pytest.raises(ValueError, match="namespace"):
        promql.enforce_label("up", "namespace", "")


@pytest.mark.parametrize("expr", ["info(up)", 'sum(1 + info(up, {a="b"}))', "topk(scalar(info(x)), x)"])
def test_a_query_with_hidden_reads_is_rejected_for_tenants(expr):
    with pytest.raises(InvalidQuery, match=r"info\(\)"):
        promql.enforce_label(expr, "namespace", "mine")


@pytest.mark.parametrize(
    ("expr", "enforced"),
    [
        ('x{namespace="theirs"}', 'x{namespace="theirs",namespace="mine"}'),
        ('x{namespace="mine"}', 'x{namespace="mine"}'),
        ('x{namespace=~"mine|.*"}', 'x{namespace=~"mine|.*",namespace="mine"}'),
        ("x{} # {", 'x{namespace="mine"}'),
        ('{__name__=~".+"}', '{__name__=~".+",namespace="mine"}'),
        ('x{a="\\"} or x"}', 'x{a="\\"} or x",namespace="mine"}'),
        ("max_over_time((x or y)[1h:])", 'max_over_time((x{namespace="mine"} or y{namespace="mine"})[1h:])'),
        ('x{"namespace"!="mine"}', 'x{namespace!="mine",namespace="mine"}'),
    ],
)
def test_a_matcher_on_the_enforced_label_can_only_narrow(expr, enforced):
    assert promql.enforce_label(expr, "namespace", "mine") == enforced


FRESH, OLD = 1000.0, 500.0


@pytest.mark.parametrize(
    ("expr", "newest"),
    [
        ("f", FRESH),
        ("f / o", OLD),
        ("f / none", None),
        ("f offset 1d - o @ 5", OLD),
        ("sum(rate(f[5m])) / max_over_time(rate(o[5m])[1h:])", OLD),
        ("topk(scalar(o), f)", OLD),
        ("f > 3", FRESH),
        ("none or f", FRESH),
        ("o or f", OLD),
        ("none or none", None),
        ("(none or vector(0)) / f", FRESH),
        ("none or vector(0)", None),
        ("f or vector(0)", FRESH),
        ("vector(0) + (f or vector(0))", FRESH),
        ("f unless none", FRESH),
        ("f unless o", OLD),
        ("none unless f", None),
        ("f and none", None),
        ("absent(none)", None),
    ],
)
def test_an_expression_is_as_fresh_as_its_stalest_selector(expr, newest):
    freshness = promql.prepare(expr).freshness
    assert freshness.selectors <= {"f{}", "o{}", "none{}"}
    assert freshness.newest({"f{}": FRESH, "o{}": OLD}) == newest


@pytest.mark.parametrize(
    ("expr", "doubts"),
    [
        ("f or vector(0)", set()),
        ("none or vector(0)", {"none{}"}),
        ("(none or vector(0)) / f", {"none{}"}),
        ("(f / none) or on() vector(0)", {"none{}"}),
        ("(none or gone) or vector(0)", {"none{}", "gone{}"}),
        ("(none or f) or vector(0)", set()),
        ("none or f", set()),
        ("absent(none)", {"none{}"}),
        ("absent(f)", set()),
        ("absent_over_time(none[5m]) or f", {"none{}"}),
        ("f unless (none or vector(0))", set()),
        ("max_over_time((none or vector(0))[1h:])", {"none{}"}),
    ],
)
def test_a_value_because_of_absent_series_assumes_their_absence(expr, doubts):
    """Freshness is judged by all that the value rests on, also by what is rightly not there."""
    assert promql.prepare(expr).freshness.assumed_absent({"f{}": FRESH, "o{}": OLD}) == doubts


@pytest.mark.parametrize(
    ("expr", "reads"),
    [
        ("f", []),
        ("sum(rate(f[5m])) / f", []),
        ("f or vector(0)", ["f{}"]),
        ("absent(f)", ["f{}"]),
        ("sum(rate(f[5m])) or vector(0)", ["rate(f{}[5m])"]),
        ("increase(f[5m]) or irate(f[5m])", ["rate(f{}[5m])"]),
        ("deriv(f[5m]) or vector(0)", ["delta(f{}[5m])"]),
        ("quantile_over_time(0.5, f[5m]) or vector(0)", ["last_over_time(f{}[5m])"]),
        ("absent_over_time(f[5m])", ["last_over_time(f{}[5m])"]),
        ("f offset 1d or vector(0)", ["f{} offset 1d"]),
        ("f @ 5 or vector(0)", ["f{} @ 5.000"]),
        ("rate(f[30d] offset 1d) or vector(0)", ["rate(f{}[3h] offset 1d)"]),
        ("max_over_time(f[10m:1m]) or vector(0)", ["last_over_time(f{}[10m:1m])"]),
        ("max_over_time(rate(f[2m])[10m:]) or vector(0)", ["last_over_time(rate(f{}[2m])[10m:])"]),
        ("f unless rate(f[5m])", ["rate(f{}[5m])"]),
        ("rate(f[5m]) unless f", ["f{}"]),
        ("vector(scalar(rate(f[5m])) > bool 0)", ["rate(f{}[5m])"]),
        ("f + fill (0) rate(f[5m])", ["f{}", "rate(f{}[5m])"]),
    ],
)
def test_reads_that_could_miss_samples_are_required(expr, reads):
    required = promql.prepare(expr).freshness.required_reads()
    assert sorted(read.text.removeprefix("group(")[:-1] or read.selector for read in required) == reads


@pytest.mark.parametrize(
    ("expr", "span", "interval"),
    [
        ("max_over_time((f or vector(0))[10m:])", 600, 240),
        ("max_over_time((rate(f[2m]) or vector(0))[10m:])", 600, 66),
        ("max_over_time((last_over_time(f[2m]) or vector(0))[10m:])", 600, 132),
        ("max_over_time((absent(f))[1h:])", 3600, 240),
    ],
)
def test_in_a_subquery_no_evaluation_may_miss_samples(expr, span, interval):
    (read,) = promql.prepare(expr).freshness.required_reads()
    assert read.subquery_span == span
    assert read.max_interval == pytest.approx(interval)


def test_the_present_part_of_an_incomplete_operand_must_be_fresh():
    assert promql.prepare("(o / none) or vector(0)").freshness.newest_or_inf({"o{}": OLD}) == OLD


@pytest.mark.parametrize(("expr", "text"), [("absent(x)", "absent(x{})"), ("((absent(x)))", "((absent(x{})))")])
def test_absence_as_a_whole_query_is_one_or_zero(expr, text):
    assert promql.prepare(expr).text == f"sum({text}) or vector(0)"
    assert promql.prepare("absent(x) * 2").text == "absent(x{}) * 2"


@pytest.mark.parametrize(
    ("counters", "evidence"),
    [
        ({"good": 't{a="1",code="2"}', "total": 't{a="1"}'}, ('t{a="1"}', 't{a="1",code="2"}')),
        ({"bad": 't{a="1",code="5"}', "total": 't{a="1"}'}, ('t{a="1"}', "")),
        ({"bad": "e", "total": "t"}, ("t{} and (rate(e{}[5m]) or vector(0))", "")),
        (
            {"good": 't{a="2"}', "total": 't{a=~"1|2"}'},
            ('t{a=~"1|2"} and (rate(t{a="2"}[5m]) or vector(0))', 't{a="2"}'),
        ),
    ],
)
def test_a_ratio_of_counters_is_as_fresh_as_its_total(counters, evidence):
    """A part of the total is scraped with it, and a good one must have been there once."""
    assert promql.evidence_of_counters(**counters, window="5m") == evidence


@pytest.mark.parametrize(
    ("good", "untold"),
    [
        ('t{code="200"}', ["code"]),
        ('t{code=~"2..",method!=""}', ["code", "method"]),
        ('t{code!~"5.."}', []),
        ('t{error=""}', []),
        ('t{error!="yes"}', []),
        ('t{code=~"2.*|"}', []),
        ('t{code!~"5..|"}', ["code"]),
        ('good{code="200"}', []),
    ],
)
def test_series_without_the_classifying_label_are_left_out(good, untold):
    """Numerator and denominator belong together, or there is no ratio."""
    strict = promql.error_ratio_of_counters(good=good, total="t", window="5m", strict=True)
    assert [
        name for name in ("code", "method", "error") if f't{{{name}=""}}[5m])) or vector(0)) == bool 0' in strict
    ] == untold
    promql.check_query(strict)


def test_freshness_queries_use_raw_samples():
    query = promql.freshness_query('x{a="b"}', 90)
    assert 'max by (job) (timestamp(x{a="b"}))' in query
    assert 'timestamp(x{a="b"}) >= time() - 90' in query


def test_one_query_is_sent_as_it_is():
    assert promql.pack([promql.prepare("x").text]) == "x{}"


def test_joined_queries_are_marked():
    texts = [promql.prepare(expr).text for expr in ("x # one", "scalar(y)")]
    assert promql.pack(texts) == (
        'label_replace(x{}, "__forestall_query", "0", "", "") or '
        'label_replace(vector(scalar(y{})), "__forestall_query", "1", "", "")'
    )
    promql.check_query(promql.pack(texts))


def test_a_query_with_the_marker_label_is_not_joined():
    assert promql.prepare("x").joinable
    assert not promql.prepare('label_replace(x, "__forestall_query", "7", "", "")').joinable


@pytest.mark.parametrize(
    ("expr", "seconds"),
    [
        ("x", 0),
        ("rate(x[5m]) / rate(x[1h])", 3600),
        ("max_over_time(rate(x[5m])[1d:])", 86700),
        ("topk(scalar(max_over_time(x[1d])), x offset 1w)", 86400),
    ],
)
def test_the_reach_of_a_query_is_known(expr, seconds):
    assert promql.prepare(expr).reach == seconds


def test_invalid_queries_are_not_prepared():
    with pytest.raises(InvalidQuery):
        promql.prepare("x[5m]")


@pytest.mark.parametrize(
    ("counters", "lacking"),
    [
        ({"bad": 't{a="1",code=~"5.."}', "total": 't{a="1"}'}, ['t{a="1",code=""}']),
        ({"bad": 't{code!~"2..",x="a",y="",z!=""}', "total": "t"}, ['t{code=""}', 't{x=""}']),
        ({"good": 't{code!~"5.."}', "total": "t"}, ['t{code=""}']),
        ({"good": 't{code=~"2.."}', "total": "t"}, []),
        ({"bad": 't{code="5"}', "total": 't{code!=""}'}, []),
        ({"bad": "e", "total": "t"}, []),
        ({"bad": '{__name__=~"t|e",code="5"}', "total": '{__name__=~"t|e"}'}, []),
    ],
)
def test_labels_whose_absence_would_make_events_good_or_bad(counters, lacking):
    """The kind: absent is not zero. A strict ratio sees by itself that series lack a label that good events have."""
    pairs = promql.classifying_labels(**counters)
    assert [without for without, _ in pairs] == lacking
    assert [having for _, having in pairs] == [without.replace('=""', '!=""') for without in lacking]
