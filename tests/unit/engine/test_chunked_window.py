"""Kind: the number shown is not the number named. A window is the sum of its pieces, each read once and exactly."""

import math

import numpy as np
import pytest

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.core.series import SeriesMatrix
from forestall.engine.chunked_window import ChunkedWindow
from forestall.engine.indicator_queries import plan_queries
from forestall.engine.observe import Observer
from forestall.ports import Answer, QueryFailure, RangeSeries, Sample

NOW, INTERVAL, STALE_AFTER = 1_790_000_000.0, 30.0, 120.0
SOURCE = MetricSource.read({"metadata": {"name": "default", "uid": "m"}, "spec": {"url": "http://x"}})
TIMEOUT = QueryFailure("SourceTimeout", "the source did not answer in 20 s")


def objective(window="30d"):
    spec = {
        "target": {"name": "shop"},
        "indicator": {"threshold": {"query": "probe_success", "operator": "gte", "value": 1}},
        "objective": 99.0,
        "window": window,
    }
    return ServiceLevelObjective.read({"metadata": {"name": "probe", "namespace": "shop", "uid": "u"}, "spec": spec})


class Probed:
    """Implements the `Metrics` port for a probe that is down from `down` to `up`, scraped every `spacing` seconds."""

    def __init__(self, down=0.0, up=0.0, spacing=15.0):
        self.down, self.up, self.spacing = down, up, spacing
        self.failure: QueryFailure | None = None
        self.read: list[tuple[float, float, float]] = []

    async def instant(self, source, queries, at):
        counts = {True: 3600 / self.spacing, False: 0.0}
        return {q.key: Answer((Sample((), counts["count_over_time" in q.expr]),), at) for q in queries}

    async def range(self, source, queries, start, end, step):
        if self.failure is not None:
            return {query.key: self.failure for query in queries}
        self.read.append((start, end, step))
        ends = np.arange(round((end - start) / step) + 1) * step + start
        answers = {}
        for query in queries:
            scrapes = [np.arange(math.ceil((e - step) / 15) * 15, e, 15.0) for e in ends]
            bad = [float(((each >= self.down) & (each < self.up)).sum()) for each in scrapes]
            values = bad if "sum_over_time" in query.expr else [float(each.size) for each in scrapes]
            answers[query.key] = (RangeSeries((), tuple(ends.tolist()), tuple(values)),)
        return answers


def watch(metrics, window="30d"):
    """Return a function that runs a cycle at a time, and returns the ratios that are known after it."""
    observer = Observer(metrics, SeriesMatrix(INTERVAL, 100))
    asked = {"u": plan_queries(objective(window), SOURCE, INTERVAL)}

    async def cycle(at, seconds=60.0):
        await observer.observe(asked, lambda _: STALE_AFTER, at)
        await observer.read_windows(asked, lambda _: STALE_AFTER, at, seconds)
        _, ratios = await observer.observe(asked, lambda _: STALE_AFTER, at)
        return ratios["u"]

    return cycle


def pieces_of(window="30d"):
    pieces = plan_queries(objective(window), SOURCE, INTERVAL).window_query
    assert isinstance(pieces, ChunkedWindow)
    return pieces


@pytest.mark.parametrize("window", ["1h", "90m", "1d", "7d", "28d", "30d", "90d", "1h7m13s"])
def test_pieces_make_the_whole_window_and_are_over_at_moments_that_nobody_looks_at(window):
    pieces = pieces_of(window)
    assert pieces.count * pieces.length == pytest.approx(pieces.window, rel=1e-4)
    assert pieces.length <= max(1800, 4 * INTERVAL)
    newest = pieces.newest(NOW)
    assert NOW - pieces.length < pieces.end(newest) <= NOW
    assert pieces.number(pieces.end(newest)) == newest
    if pieces.length == round(pieces.length):
        assert pieces.end(newest) % 1 == pytest.approx(0.123, abs=1e-5)


@pytest.mark.parametrize(
    ("samples", "resolution"),
    [
        (240, 15),
        (239, 15),
        (241, 15),
        (120, 30),
        (60, 30),
        (360, 10),
        (3600, 1),
        (18000, 1),
        (80, 22.5),
        (6, 30),
        (0, 30),
    ],
)
def test_each_sample_is_looked_at_as_often_as_each_other(samples, resolution):
    assert pieces_of().resolution(samples) == resolution
    assert pieces_of().resolution(math.nan) == INTERVAL


async def test_a_month_is_read_once_in_parts_and_later_piece_by_piece():
    metrics = Probed(NOW - 86400, NOW - 86400 + 3 * 3600)
    cycle, pieces = watch(metrics), pieces_of()
    ratios = await cycle(NOW)
    assert ratios.window == pytest.approx(3 / 24 / 30, rel=1e-9)
    assert ratios.whole_problem is None
    assert sum(round((end - start) / step) + 1 for start, end, step in metrics.read) == pieces.count
    most = max((end - start + step) / 15 for start, end, step in metrics.read)
    assert most <= 10_000  # moments that the source looks at in one request
    before = len(metrics.read)
    for minutes in range(0, 180, 5):
        await cycle(NOW + 60 * minutes)
    assert len(metrics.read) == before + 5 or len(metrics.read) == before + 6
    assert all(start == end for start, end, _ in metrics.read[before:])


async def test_bad_time_counts_until_it_has_left_the_window_and_no_longer():
    down = NOW - 10 * 86400
    cycle = watch(Probed(down, down + 7200), "7d")
    assert (await cycle(NOW)).window == 0.0
    assert (await cycle(NOW - 86400)).window == 0.0  # a clock that was turned back brings nothing back
    cycle = watch(Probed(down, down + 7200), "14d")
    assert (await cycle(NOW)).window == pytest.approx(1 / 12 / 14)
    assert (await cycle(NOW + 4 * 86400 - 3600)).window == pytest.approx(1 / 12 / 14)
    assert (await cycle(NOW + 4 * 86400 + 9000)).window == 0.0


async def test_while_the_window_is_read_nothing_is_shown_and_it_is_said_so():
    cycle = watch(Probed())
    ratios = await cycle(NOW, seconds=0.0)  # one request a cycle
    assert math.isnan(ratios.window)
    assert ratios.whole_problem is not None
    assert ratios.whole_problem.reason == "WindowPending"


async def test_a_window_that_cannot_be_read_says_why_and_is_not_asked_for_all_the_time():
    metrics = Probed()
    cycle = watch(metrics)
    metrics.failure = TIMEOUT
    ratios = await cycle(NOW)
    assert math.isnan(ratios.window)
    assert ratios.whole_problem == TIMEOUT
    metrics.failure = None
    assert (await cycle(NOW + INTERVAL)).whole_problem == TIMEOUT
    assert (await cycle(NOW + 90)).window == 0.0


async def test_a_piece_that_is_late_is_waited_for_but_not_for_long():
    metrics = Probed()
    cycle = watch(metrics)
    assert (await cycle(NOW)).window == 0.0
    metrics.failure = TIMEOUT
    assert (await cycle(NOW + 3000)).window == 0.0
    ratios = await cycle(NOW + 4 * 1800)
    assert math.isnan(ratios.window)
    assert ratios.whole_problem == TIMEOUT


async def test_series_that_are_sampled_more_often_than_was_thought_are_read_anew():
    metrics = Probed(spacing=30.0)
    cycle = watch(metrics)
    await cycle(NOW)
    read = len(metrics.read)
    metrics.spacing = 15.0
    assert (await cycle(NOW + 1800)).whole_problem is None
    assert len(metrics.read) > read + 2
