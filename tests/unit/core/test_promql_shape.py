"""What the form of a query tells of its values."""

import pytest

from forestall.core.promql import is_total, prepare, result_labels


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(http_requests_total[1m]))",
        'sum by (app) (rate(http_requests_total{app="shop"}[1m]))',
        "sum(rate(a_total[1m])) / 1000",
        "2 * sum(queue_length)",
        "(sum(a) or vector(0))",
        "max(sum by (service) (a))",
        "max_over_time(sum(rate(a_total[1m]))[10m:1m])",
        "round(sum(a))",
        "clamp_min(sum(a) + sum(b), 1)",
        "count(busy > 1)",
        "sum(a) > 5",
        "sum(a_total) - sum(b_total)",
    ],
)
def test_a_total_does_not_fall_as_replicas_are_added(query):
    """Kind: a plain sum that is sized in proportion, which doubles the replicas for ever."""
    assert is_total(query)


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(http_requests_total[1m])) / count(up)",
        "sum(rate(a_total[1m])) / on () kube_deployment_status_replicas_ready",
        "avg(rate(cpu_seconds_total[1m]))",
        "max by (pod) (busy_slots)",
        "sum by (pod) (rate(cpu_seconds_total[1m]))",
        "max(sum by (pod) (rate(cpu_seconds_total[1m])))",
        "histogram_quantile(0.99, sum by (le) (rate(http_seconds_bucket[5m])))",
        "avg(busy) * 100",
        "time() - max(last_success)",
        "busy_slots",
    ],
)
def test_a_level_falls(query):
    assert not is_total(query)


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("sum(a)", set()),
        ("max by (pod, node) (a)", {"pod", "node"}),
        ("max by (pod) (sum by (pod, app) (a)) / 3", {"pod"}),
        ("sum by (pod) (a) / on (pod) sum by (pod, app) (b)", {"pod"}),
        ("sum by (pod) (a) > 3", {"pod"}),
        ("clamp_max(sum by (node) (a), 1)", {"node"}),
        ("sum without (le) (sum by (le, pod) (a))", {"pod"}),
        ("topk(3, sum by (pod) (a))", {"pod"}),
        ("vector(1) * sum(a)", set()),
    ],
)
def test_labels_that_the_series_can_have(query, labels):
    assert result_labels(query) == labels


@pytest.mark.parametrize(
    "query", ["a", "sum without (pod) (a)", 'label_replace(sum(a), "pod", "x", "", "")', "sum(a) or b"]
)
def test_labels_that_the_form_of_a_query_does_not_show(query):
    assert result_labels(query) is None


@pytest.mark.parametrize(
    ("query", "has_many_names"),
    [
        ('{__name__=~"a|b"}', True),
        ('{job="x"}', True),
        ('{__name__="a"}', False),
        ('{"a.b"}', False),
        ("a or b", False),  # `or` drops what differs in nothing but its name
        ('topk(3, {job="x"}) > 1', True),
        ('1 < {job="x"} unless a', True),
        ('{job="x"} > bool 1', False),
        ('last_over_time({job="x"}[5m])', True),
        ('rate({job="x"}[5m])', False),
        ('sum by (__name__, pod) ({job="x"})', True),
        ('sum by (pod) ({job="x"})', False),
        ('-{job="x"}', False),
        ('{job="x"} * 2', False),
        ('a or ({job="x"})', True),
    ],
)
def test_series_that_only_their_names_distinguish(query, has_many_names):
    """The kind: what tells two series apart is not dropped; where nothing else does, the name is an identity."""
    assert prepare(query).has_many_names == has_many_names
