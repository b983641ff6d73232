"""The adapter's answers from a real Prometheus."""

import math
import time

import numpy as np
import pytest

from forestall.adapters.http import Endpoint
from forestall.adapters.prometheus import SourceConfig
from forestall.devcluster.remote_write import HistogramSeries, NativeHistogram, Series
from forestall.ports import Query, QueryFailure

STEP = 15.0


@pytest.fixture(scope="module")
def now(prometheus):
    """The newest time of the series that these tests share: an hour of gauges and counters."""
    now = round(time.time() - 10, 3)
    times = np.arange(now - 3600, now + 1e-3, STEP)

    def series(name, values, times=times, **labels):
        return Series({"__name__": name, **labels}, times, np.broadcast_to(values, times.shape))

    prometheus.write(
        [
            *(series("load", float(i), pod=f"p{i}") for i in range(20)),
            series("odd", math.nan, kind="nan"),
            series("odd", math.inf, kind="inf"),
            series("odd", -math.inf, kind="-inf"),
            series("odd", 1.0, kind="one"),
            series("late", 1.0, times[:-12]),
            series("gone", 1.0, times[:-100]),
            series("marked", 1.0, __forestall_query="1", a="1"),
            series("marked", 2.0, __forestall_query="2", a="2"),
            series("marked_twins", 1.0, __forestall_query="1"),
            series("marked_twins", 2.0, __forestall_query="2"),
            series("twin_a", 1.0, a="1"),
            series("twin_b", 2.0, a="1"),
            HistogramSeries({"__name__": "native"}, [NativeHistogram(now, first=0, counts=[1, 2], total=2.0)]),
        ]
    )
    return now


async def one(adapter, expr, at, **more):
    """Return the answer of one query."""
    return (await adapter.instant("real", [Query("q", expr, **more)], at))["q"]


def values(answer):
    """Return the values of an answer by labels."""
    assert not isinstance(answer, QueryFailure), answer
    return {sample.labels: sample.value for sample in answer.samples}


async def test_samples_have_sorted_labels_without_the_name(real, now):
    answer = await one(real, 'label_replace(load{pod="p3"}, "a", "b", "", "")', now)
    assert values(answer) == {(("a", "b"), ("pod", "p3")): 3.0}
    assert answer.newest == pytest.approx(now)
    assert answer.warnings == ()


async def test_many_queries_are_answered_by_key_with_few_requests(real, told, now):
    queries = [Query(("key", i), f'load{{pod="p{i % 20}"}} + {i}') for i in range(300)]
    answers = await real.instant("real", queries, now)
    assert {key: list(values(answer).values()) for key, answer in answers.items()} == {
        ("key", i): [i % 20 + i] for i in range(300)
    }
    assert all(answer.newest == pytest.approx(now) for answer in answers.values())
    assert told == [("real",)] * 7  # 300 queries and 20 selectors


async def test_same_query_is_sent_once(real, told, now):
    answers = await real.instant("real", [Query(i, "load # again" + " " * i) for i in range(200)], now)
    assert len(answers) == 200
    assert all(len(values(answer)) == 20 for answer in answers.values())
    assert len(told) == 1


@pytest.mark.parametrize(
    ("expr", "value"),
    [("scalar(load{pod='p4'})", 4), ("scalar(load{pod='p4'}) * 2 > bool 1", 1), ("-scalar(load{pod='p4'})", -4)],
)
async def test_scalar_is_a_series_without_labels(real, now, expr, value):
    answers = await real.instant("real", [Query("a", expr), Query("b", "load")], now)
    assert values(answers["a"]) == {(): value}
    assert values(await one(real, expr, now)) == {(): value}


async def test_nan_and_infinity_pass_through(real, now):
    found = {labels[0][1]: value for labels, value in values(await one(real, "odd", now)).items()}
    assert math.isnan(found.pop("nan"))
    assert found == {"inf": math.inf, "-inf": -math.inf, "one": 1.0}


async def test_query_without_series(real, now):
    answers = await real.instant("real", [Query("none", "no_such_metric"), Query("load", "load > 100")], now)
    assert (answers["none"].samples, answers["none"].newest) == ((), None)
    assert (answers["load"].samples, answers["load"].newest) == ((), pytest.approx(now))


async def test_old_points_show_their_age(real, now):
    answers = await real.instant(
        "real",
        [Query("late", "late"), Query("both", "late + on() group_right() load"), Query("gone", "rate(gone[1h])")],
        now,
    )
    assert answers["late"].newest == pytest.approx(now - 12 * STEP)
    assert answers["both"].newest == pytest.approx(now - 12 * STEP)
    assert answers["gone"].newest is None  # older than Prometheus looks back
    assert len(answers["gone"].samples) == 1


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("limitk(1, load)", "limitk() is experimental and must be enabled"),  # 400
        ("load + on() load", "many-to-many matching not allowed"),  # 422
        ("rate(load", "unclosed left parenthesis"),  # refused here
        ("load[5m]", "gives ranges, not numbers"),
        ("native", "gives native histograms, not numbers"),
        ('avg_over_time({__name__=~"twin_.*"}[5m])', "same labelset"),
    ],
)
async def test_refused_query_has_a_reason_and_affects_no_other(real, now, expr, words):
    queries = [Query(i, f"load + {i}") for i in range(120)]
    for _ in range(2):
        answers = await real.instant("real", [*queries[:60], Query("bad", expr), *queries[60:]], now)
        assert all(len(values(answers[i])) == 20 for i in range(120))
        assert answers["bad"].reason == "QueryRefused"
        assert words in answers["bad"].message


async def test_series_that_differ_only_in_name_keep_it(real, now):
    """In instant and range queries that may match several metrics; other series have no name."""
    twins = Query("twins", 'topk(9, {__name__=~"twin_.*"})')
    answers = await real.instant("real", [Query("one", "twin_a"), twins, Query("load", "load")], now)
    names = [(("__name__", name), ("a", "1")) for name in ("twin_a", "twin_b")]
    assert sorted(sample.labels for sample in answers["twins"].samples) == names
    assert [sample.labels for sample in answers["one"].samples] == [(("a", "1"),)]
    past = await real.range("real", [twins], now - 60, now, 15)
    assert sorted(series.labels for series in past["twins"]) == names


async def test_refused_query_is_cheap_the_next_time(real, told, now):
    bad = [Query("bad-1", "limitk(1, load)"), Query("bad-2", "load + on() load")]
    queries = [*(Query(i, f"load + {i}") for i in range(98)), *bad]
    first = await real.instant("real", queries, now)
    cost = len(told)
    told.clear()
    assert await real.instant("real", queries, now) == first
    assert len(told) == len([each for each in told if len(each) == 1]) <= cost / 2


async def test_too_many_series_are_refused_and_affect_no_other(real, now):
    queries = [Query(i, f"load + {i}", max_series=20) for i in range(60)]
    answers = await real.instant("real", [*queries, Query("many", "load", max_series=19)], now)
    assert answers["many"].reason == "TooManySeries"
    assert "19" in answers["many"].message
    assert all(len(values(answers[i])) == 20 for i in range(60))
    assert (await one(real, "load * 2", now, max_series=19)).reason == "TooManySeries"
    assert len(values(await one(real, "load * 3", now, max_series=20))) == 20


async def test_query_with_far_too_many_series_is_found_by_splitting(real, now):
    queries = [Query(i, f'load{{pod="p1"}} + {i}', max_series=1) for i in range(10)]
    answers = await real.instant("real", [*queries, Query("many", "load", max_series=1)], now)
    assert answers["many"].reason == "TooManySeries"
    assert [list(values(answers[i]).values()) for i in range(10)] == [[i + 1] for i in range(10)]


async def test_labels_named_like_the_marker_are_harmless(real, now):
    answers = await real.instant(
        "real",
        [Query("marked", "marked"), Query("twins", "marked_twins"), *(Query(i, f"load + {i}") for i in range(9))],
        now,
    )
    assert sorted(values(answers["marked"]).values()) == [1, 2]
    assert sorted(values(answers["twins"]).values()) == [1, 2]
    assert all(len(values(answers[i])) == 20 for i in range(9))


async def test_warning_about_one_query_affects_no_other(real, now):
    queries = [Query(i, f"load + {i}") for i in range(30)]
    answers = await real.instant("real", [*queries, Query("odd", "quantile(7, load)")], now)
    assert "quantile value should be between 0 and 1" in answers["odd"].warnings[0]
    assert {answers[i].warnings for i in range(30)} == {()}


async def test_range_includes_both_ends(real, now):
    answers = await real.range(
        "real", [Query("q", "load{pod='p2'} * 2"), Query("s", "scalar(load{pod='p2'})")], now - 60, now, 15
    )
    (series,) = answers["q"]
    assert series.labels == (("pod", "p2"),)
    assert series.times == pytest.approx([now - 60, now - 45, now - 30, now - 15, now])
    assert series.values == (4.0,) * 5
    assert answers["s"][0].values == (2.0,) * 5


async def test_long_range_is_requested_in_parts(real, told, now):
    answers = await real.range("real", [Query("q", "load{pod='p2'}"), Query("none", "no_such")], now - 3600, now, 0.1)
    (series,) = answers["q"]
    assert len(series.times) == 36001
    assert np.diff(series.times) == pytest.approx(0.1, abs=2e-3)
    assert answers["none"] == ()
    assert len(told) == 4


async def test_refused_range_query_affects_no_other(real, now):
    queries = [Query(i, f"load + {i}") for i in range(25)]
    answers = await real.range("real", [*queries, Query("bad", "load + on() load")], now - 60, now, 15)
    assert "many-to-many" in answers["bad"].message
    assert all(len(answers[i]) == 20 for i in range(25))


async def test_unknown_source_is_missing(real, now):
    for answers in (
        await real.instant("other", [Query("q", "load")], now),
        await real.range("other", [Query("q", "load")], now - 60, now, 15),
    ):
        assert answers["q"].reason == "SourceMissing"
        assert "'other'" in answers["q"].message


async def test_no_request_without_queries(real, told, now):
    assert await real.instant("real", [], now) == {}
    assert await real.range("real", [], now - 60, now, 15) == {}
    assert told == []


async def test_source_with_a_changed_configuration_is_queried_again(real, prometheus, now):
    assert values(await one(real, "load", now))
    real.set_sources({"real": SourceConfig(Endpoint("http://127.0.0.1:1"))})
    assert (await one(real, "load", now)).reason == "SourceDown"
    real.set_sources({"real": SourceConfig(Endpoint(prometheus.url))})
    assert values(await one(real, "load", now))
    real.set_sources({})
    assert (await one(real, "load", now)).reason == "SourceMissing"
