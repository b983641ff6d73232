import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.backtest.history import History, HistoryMetrics
from forestall.ports import Answer, Query, QueryFailure, RangeSeries

STEP = 60.0
POINTS = st.dictionaries(st.integers(0, 3600).map(float), st.floats(-1e6, 1e6), min_size=1, max_size=30)


def series(points, labels=()):
    times = tuple(sorted(points))
    return RangeSeries(labels, times, tuple(points[at] for at in times))


def metrics(*answer, end=3600.0):
    return HistoryMetrics(History({"q": answer}), 0.0, end, STEP)


async def ask(source, at, max_series=500):
    return (await source.instant("any", [Query("q", "x", max_series)], at))["q"]


@given(points=POINTS, step=st.integers(0, 60), later=st.floats(-1e6, 1e6))
async def test_queries_do_not_see_the_future(points, step, later):
    now = step * STEP
    changed = {at: later if at > now else value for at, value in points.items()}
    assert await ask(metrics(series(points)), now) == await ask(metrics(series(changed)), now)
    before, after = metrics(series(points)), metrics(series(changed))
    assert await before.range("any", [Query("q", "x")], 0, now, STEP) == await after.range(
        "any", [Query("q", "x")], 0, now, STEP
    )


async def test_a_query_returns_the_newest_value_and_its_time():
    source = metrics(series({at: at / 10 for at in range(7, 3600, 60)}))
    answer = await ask(source, 120.0)
    assert isinstance(answer, Answer)
    assert [sample.value for sample in answer.samples] == [6.7]
    assert answer.newest == 67


async def test_an_old_sample_has_no_value_but_a_time():
    source = metrics(series({0.0: 1.0, 60.0: 2.0, 120.0: 3.0}))
    assert source.lookback == 90
    assert [sample.value for sample in (await ask(source, 180.0)).samples] == [3.0]
    assert await ask(source, 240.0) == Answer((), 120.0)
    assert await ask(source, 600.0) == Answer((), 120.0)


async def test_unknown_queries_and_earlier_times_have_no_data():
    source = metrics(series({600.0: 1.0, 660.0: 1.0}))
    assert await ask(source, 540.0) == Answer((), None)
    assert (await source.instant("any", [Query("other", "y")], 600.0))["other"] == Answer((), None)
    assert (await source.range("any", [Query("other", "y")], 0, 600, STEP))["other"] == ()


async def test_too_many_series_are_refused_as_by_a_source():
    answer = [series({0.0: 1.0}, (("pod", str(n)),)) for n in range(3)]
    failure = await ask(metrics(*answer), 0.0, max_series=2)
    assert isinstance(failure, QueryFailure)
    assert failure.reason == "TooManySeries"
    past = (await metrics(*answer).range("any", [Query("q", "x", 2)], 0, 60, STEP))["q"]
    assert isinstance(past, QueryFailure)


async def test_a_range_query_has_gaps_where_samples_are_missing():
    values = {0.0: 1.0, 60.0: 2.0, 120.0: 3.0, 600.0: 5.0}
    source = metrics(series(values, (("pod", "a"),)), series({}, (("pod", "b"),)))
    (only,) = (await source.range("any", [Query("q", "x")], 0, 660, STEP))["q"]
    assert only.labels == (("pod", "a"),)
    assert only.times == (0.0, 60.0, 120.0, 180.0, 600.0, 660.0)
    assert only.values == (1.0, 2.0, 3.0, 3.0, 5.0, 5.0)


def test_the_sample_interval_is_the_median():
    assert History({}).spacing == 0
    assert History({"a": (series({0.0: 1.0}),)}).spacing == 0
    gaps = np.cumsum([0, 30, 30, 30, 900, 30]).astype(float)
    assert History({"a": (series(dict.fromkeys(gaps.tolist(), 1.0)),)}).spacing == 30
    assert History({"a": (series({5.0: 1.0, 9.0: 2.0}),)}).first == 5
    assert History({"a": (series({5.0: 1.0, 9.0: 2.0}),)}).last == pytest.approx(9)
