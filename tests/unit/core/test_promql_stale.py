"""The kind: a series whose subject is gone, and whose last value a source finds for minutes. A query ignores it."""

import pytest

from forestall.core.promql import prepare

A = "(a{} and (timestamp(a{}) >= time() - 60))"


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("a", A),
        ('max by (pod) (a{x="y"})', 'max by (pod)((a{x="y"} and (timestamp(a{x="y"}) >= time() - 60)))'),
        ("-(a) / 2", "-((a{} and (timestamp(a{}) >= time() - 60))) / 2"),
        ("clamp_max(topk(3, a), 5)", "clamp_max(topk(3, (a{} and (timestamp(a{}) >= time() - 60))), 5)"),
        (
            "a * on (pod) group_left (node) b",
            f"{A} * on (pod) group_left (node) {A.replace('a{}', 'b{}')}",
        ),
    ],
)
def test_each_series_must_have_a_new_sample(query, sent):
    assert prepare(query, newer_than=60).text == sent


@pytest.mark.parametrize(
    "query",
    [
        "rate(a[5m])",
        "max_over_time(a[5m:1m])",
        "a offset 5m",
        "a @ 10",
        "timestamp(a)",
        "absent(a)",
        "a or b",
        "a or vector(0)",
        "a unless b",
        "a + fill_left (0) b",
        "scalar(a) + b",
        '{job="x"}',
    ],
)
def test_reads_of_other_times_and_values_without_series_stay(query):
    """A counter's range ends by itself; what an absent series means, the query says."""
    if query == "scalar(a) + b":
        assert "timestamp(a{})" not in prepare(query, newer_than=60).text
    else:
        assert prepare(query, newer_than=60).text == prepare(query).text


def test_nothing_changes_where_it_is_not_asked_for():
    assert prepare("a").text == "a{}"
    assert prepare("a", newer_than=60).freshness == prepare("a").freshness
    assert prepare("a", newer_than=60).reach == prepare("a").reach
