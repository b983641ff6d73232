"""How many series of each namespace are kept: those of the queries that return the fewest come first."""

import pytest

from forestall.api.metric_source import NamespaceShare
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries
from forestall.engine.readings import Reading
from forestall.engine.series_quota import within_series
from forestall.ports import Query

ASKED = Query("k", "x")


def reading(count, indicator="load"):
    query = IndicatorQuery("o", indicator, ASKED, 1.0, True, 600.0, "pod", False)
    return Reading(query, {(("pod", str(number)),): 1.0 for number in range(count)}, 5.0, bool(count))


def kept(counts, max_series=None, *, share=10, source="main"):
    """Return how many series of each query are kept, given those returned by objectives named NAMESPACE/OBJECTIVE."""
    queries = {
        uid: ObjectiveQueries(
            source if isinstance(source, str) else source[uid],
            (),
            ASKED,
            ASKED,
            60.0,
            namespace=uid.partition("/")[0],
            share=NamespaceShare(series=share),
        )
        for uid in counts
    }
    readings = {uid: tuple(map(reading, numbers)) for uid, numbers in counts.items()}
    result = within_series(readings, queries, max_series)
    return {uid: [len(one.values) for one in of_objective] for uid, of_objective in result.items()}, result


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a/1": [4, 6]}, {"a/1": [4, 6]}),
        ({"a/1": [4, 7]}, {"a/1": [4, 0]}),
        ({"a/1": [7], "a/2": [4]}, {"a/1": [0], "a/2": [4]}),
        ({"a/1": [6], "a/2": [6]}, {"a/1": [6], "a/2": [0]}),
        ({"a/1": [11], "b/1": [10]}, {"a/1": [0], "b/1": [10]}),
        ({"a/1": [0, 11, 0]}, {"a/1": [0, 0, 0]}),
        ({"a/1": [5, 5, 5]}, {"a/1": [5, 5, 0]}),
    ],
)
def test_each_namespace_has_its_share_of_a_source(counts, expected):
    assert kept(counts)[0] == expected


def test_each_source_has_a_share_of_its_own():
    sources = {"a/1": "main", "a/2": "other"}
    assert kept({"a/1": [10], "a/2": [10]}, source=sources)[0] == {"a/1": [10], "a/2": [10]}


def test_what_is_left_out_is_told_with_its_numbers():
    _, result = kept({"a/1": [0, 4, 7]})
    empty, small, left_out = result["a/1"]
    assert (empty.problem, small.problem, small.fresh, left_out.fresh) == (None, None, True, False)
    assert left_out.problem.reason == "ShareExhausted"
    assert left_out.problem.message == (
        "the query returns 7 series, and with it the queries of namespace a return 11: 10 are the most that are kept "
        "for it (`spec.perNamespace.series` of the MetricSource): aggregate, or ask an admin for more"
    )
    assert left_out.sampled_at == 5.0


@pytest.mark.parametrize(
    ("counts", "most", "expected"),
    [
        # Who needs less than an equal part leaves the rest to the others.
        ({"a/1": [2], "b/1": [4], "c/1": [9]}, 15, {"a/1": [2], "b/1": [4], "c/1": [9]}),
        ({"a/1": [2], "b/1": [4], "c/1": [9]}, 14, {"a/1": [2], "b/1": [4], "c/1": [0]}),
        ({"a/1": [2], "b/1": [4], "c/1": [4, 4]}, 10, {"a/1": [2], "b/1": [4], "c/1": [4, 0]}),
        ({"a/1": [2], "b/1": [4], "c/1": [3, 3]}, 9, {"a/1": [2], "b/1": [0], "c/1": [3, 0]}),
        ({"a/1": [5], "b/1": [5]}, 10, {"a/1": [5], "b/1": [5]}),
        ({"a/1": [5], "b/1": [5]}, 9, {"a/1": [0], "b/1": [0]}),
        ({"a/1": [5]}, 0, {"a/1": [0]}),
    ],
)
def test_all_namespaces_together_have_what_there_is_memory_for(counts, most, expected):
    assert kept(counts, most)[0] == expected


def test_problem_of_a_query_beyond_the_memory_says_how_many_series_are_left():
    _, result = kept({"a/1": [2], "b/1": [9]}, 8)
    assert result["b/1"][0].problem.message == (
        "the query returns 9 series, and with it the queries of namespace b return 9: 6 are left for it of the 8 that "
        "the operator has memory for: aggregate, or ask an admin for a larger memory limit"
    )
