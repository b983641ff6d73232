"""Reading a history from a source."""

import math

import pytest

from forestall.backtest import prepare
from forestall.backtest.bind import queried_objectives
from forestall.backtest.fetch import fetch
from forestall.backtest.prepare import ReplayOptions
from forestall.engine import Settings
from forestall.errors import InvalidInput, MetricsError
from forestall.inputs import manifests
from forestall.ports import QueryFailure, RangeSeries

DAY = 86400.0
NOW = 1_772_323_200.0


class Source:
    """Has `busy` from a time on; other queries fail, or have nothing."""

    def __init__(self, since=-math.inf, failure=None, breaks_at=math.inf):
        self.since, self.failure, self.breaks_at = since, failure, breaks_at
        self.requests = []

    async def instant(self, source, queries, at):
        raise AssertionError

    async def range(self, source, queries, start, end, step):
        self.requests.append((start, end, [query.expr for query in queries]))
        if start >= self.breaks_at:
            return {query.key: QueryFailure("SourceTimeout", "too slow") for query in queries}
        count = round((end - start) / step) + 1
        times = [at for n in range(count) if (at := start + step * n) >= self.since]
        values = [math.nan if n == 1 else 5.0 + math.sin(at / 3000) for n, at in enumerate(times)]
        busy = (RangeSeries((), tuple(times), tuple(values)),) if times else ()
        return {query.key: busy if query.expr == "busy" else self.failure or () for query in queries}


@pytest.fixture
def objects(objective):
    return [manifests.Manifest(objective(), "here")]


@pytest.fixture
def objectives(objects):
    return queried_objectives(manifests.build_registry(objects, "default", 90), 60)


async def test_parts_are_joined_without_gap_or_overlap(objectives):
    source, progress = Source(), []
    history, missing = await fetch(source, objectives, NOW - 2.5 * DAY, NOW, 60, lambda *parts: progress.append(parts))
    (series,) = history.series["ServiceLevelObjective/default/shop", "busy"]
    gaps = {round(b - a) for a, b in zip(series.times, series.times[1:], strict=False)}
    assert gaps == {60, 120}  # NaN is a gap
    assert (series.times[0], series.times[-1]) == (NOW - 2.5 * DAY, NOW)
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert missing == ("default/shop sli: no data in this period",)


async def test_the_error_ratio_of_the_whole_window_is_not_fetched(objectives):
    source = Source()
    await fetch(source, objectives, NOW - DAY / 2, NOW, 60)
    ((_, _, texts),) = source.requests
    assert len(texts) == 3
    assert not any("30d" in text for text in texts)


async def test_a_failed_query_is_not_repeated_and_is_reported(objectives):
    source = Source(failure=QueryFailure("QueryRefused", "no such function"))
    history, missing = await fetch(source, objectives, NOW - 2 * DAY + 60, NOW, 60)
    assert [len(texts) for _, _, texts in source.requests] == [3, 1]
    assert list(history.series) == [("ServiceLevelObjective/default/shop", "busy")]
    assert missing == ("default/shop sli: no such function",)


async def test_a_source_that_fails_in_the_middle_leaves_no_partial_history(objectives):
    with pytest.raises(MetricsError, match="too slow") as error:
        await fetch(Source(breaks_at=NOW - DAY), objectives, NOW - 2 * DAY, NOW, 60)
    assert error.value.reason == "SourceTimeout"


async def test_a_source_without_data_is_reported(objectives):
    with pytest.raises(MetricsError, match="no series of any indicator"):
        await fetch(Source(since=math.inf), objectives, NOW - DAY, NOW, 60)


async def test_the_last_week_is_scored_by_default(objects):
    prepared = await prepare.from_source(objects, Source(), ReplayOptions(step=300), NOW, lambda *_: None)
    assert (prepared.time_range.start, prepared.time_range.end) == (NOW - 7 * DAY, NOW)
    assert (
        prepared.time_range.start - prepared.learn_from == Settings(interval=300).columns * 300
    )  # as much as the engine keeps


async def test_two_thirds_of_a_short_source_history_are_scored(objects):
    source = Source(since=NOW - 3 * DAY)
    prepared = await prepare.from_source(objects, source, ReplayOptions(step=300), NOW, lambda *_: None)
    assert prepared.learn_from == NOW - 3 * DAY
    assert (prepared.time_range.start, prepared.time_range.end) == (NOW - 2 * DAY, NOW)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReplayOptions(at=NOW + 60), "the start is in the future"),
        (ReplayOptions(start=NOW - 60, end=NOW - 120), "the end is before the start"),
        (ReplayOptions(start=NOW - DAY, learn=60), "at least 1h are needed to learn from"),
    ],
)
async def test_an_invalid_time_range_is_refused(objects, options, message):
    with pytest.raises(InvalidInput, match=message):
        await prepare.from_source(objects, Source(), options, NOW, lambda *_: None)
