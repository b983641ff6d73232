"""A window is the exact sum of its pieces, each read once. Kind: the number shown is not the number named."""

import math

import numpy as np
import pytest

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.core.series import SeriesMatrix
from forestall.engine.chunked_window import ChunkedWindow, ChunkedWindows
from forestall.engine.indicator_queries import plan_queries
from forestall.engine.observe import Observer
from forestall.ports import Answer, Query, QueryFailure, RangeSeries, Sample

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
    """Return a function that runs a cycle at a given time, and returns the ratios known after it."""
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
def test_pieces_cover_the_window_and_end_between_evaluated_moments(window):
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
def test_each_sample_is_evaluated_equally_often(samples, resolution):
    assert pieces_of().resolution(samples) == resolution
    assert pieces_of().resolution(math.nan) == INTERVAL


async def test_month_is_read_once_in_batches_and_then_by_new_pieces():
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


async def test_bad_time_counts_until_it_leaves_the_window():
    down = NOW - 10 * 86400
    cycle = watch(Probed(down, down + 7200), "7d")
    assert (await cycle(NOW)).window == 0.0
    assert (await cycle(NOW - 86400)).window == 0.0  # a clock that was turned back brings nothing back
    cycle = watch(Probed(down, down + 7200), "14d")
    assert (await cycle(NOW)).window == pytest.approx(1 / 12 / 14)
    assert (await cycle(NOW + 4 * 86400 - 3600)).window == pytest.approx(1 / 12 / 14)
    assert (await cycle(NOW + 4 * 86400 + 9000)).window == 0.0


async def test_ratio_is_pending_while_the_window_is_read():
    cycle = watch(Probed())
    ratios = await cycle(NOW, seconds=0.0)  # one request a cycle
    assert math.isnan(ratios.window)
    assert ratios.whole_problem is not None
    assert ratios.whole_problem.reason == "WindowPending"


async def test_failed_window_reports_the_reason_and_is_retried_with_a_pause():
    metrics = Probed()
    cycle = watch(metrics)
    metrics.failure = TIMEOUT
    ratios = await cycle(NOW)
    assert math.isnan(ratios.window)
    assert ratios.whole_problem == TIMEOUT
    metrics.failure = None
    assert (await cycle(NOW + INTERVAL)).whole_problem == TIMEOUT
    assert (await cycle(NOW + 90)).window == 0.0


async def test_missing_piece_is_tolerated_for_a_short_time():
    metrics = Probed()
    cycle = watch(metrics)
    assert (await cycle(NOW)).window == 0.0
    metrics.failure = TIMEOUT
    assert (await cycle(NOW + 3000)).window == 0.0
    ratios = await cycle(NOW + 4 * 1800)
    assert math.isnan(ratios.window)
    assert ratios.whole_problem == TIMEOUT


async def test_window_is_read_again_when_series_are_sampled_more_often():
    metrics = Probed(spacing=30.0)
    cycle = watch(metrics)
    await cycle(NOW)
    read = len(metrics.read)
    metrics.spacing = 15.0
    assert (await cycle(NOW + 1800)).whole_problem is None
    assert len(metrics.read) > read + 2


# One window by itself, of pieces that a test chooses


def chunked(window=3600.0, longest=600.0, interval=30.0, bad="bad", objective="u"):
    return ChunkedWindow(objective, "shop", bad, (Query("samples", "count"),), window, longest, interval)


class Counted:
    """Implements the `Metrics` port: in each piece so many moments were bad, of so many."""

    def __init__(self):
        self.spans: list[tuple[float, float]] = []
        self.bad, self.all = 1.0, 10.0
        self.failures: dict[str, QueryFailure] = {}
        self.silent: set[str] = set()
        self.queries: list[tuple[Query, ...]] = []

    async def instant(self, source, queries, at):
        raise NotImplementedError

    async def range(self, source, queries, start, end, step):
        self.spans.append((start, end))
        self.queries.append(tuple(queries))
        times = tuple(start + number * step for number in range(round((end - start) / step) + 1))
        answers = {}
        for query, value in zip(queries, (self.bad, self.all), strict=True):
            name = query.key[1]
            series = () if name in self.silent else (RangeSeries((), times, (value,) * len(times)),)
            answers[query.key] = self.failures.get(name, series)
        return answers


class Reading:
    """The pieces of one window as they are read, one request at a time."""

    def __init__(self, pieces=None, samples=120.0, at=NOW):
        self.metrics, self.pieces = Counted(), pieces or chunked()
        self.windows = ChunkedWindows(self.metrics)
        self.prepare(samples, at)

    def prepare(self, samples, at=NOW):
        self.windows.prepare(self.pieces, {"samples": Answer((Sample((), samples),), at)}, at)

    async def read(self, at=NOW, *, oldest=None):
        return await self.windows.read("main", self.pieces, at if oldest is None else oldest, at)

    async def read_all(self, at=NOW):
        while await self.read(at):
            pass
        return self.share

    @property
    def share(self):
        share = self.windows.share(self.pieces)
        return share.value if share.problem is None else share.problem.reason


@pytest.mark.parametrize(
    "spacing", [2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 45, 60, 90, 120, 150, 180, 240, 300, 600, 900, 1800]
)
def test_samples_that_are_counted_a_few_too_many_are_as_far_apart_as_people_choose(spacing):
    assert chunked(interval=1800.0).resolution(3600 / spacing * 1.025) == spacing


@pytest.mark.parametrize(("counted", "spacing"), [(7.4, 7.0), (75.9, 75.0), (0.4, 1.0), (1.3, 1.0), (5000.0, 1000.0)])
def test_samples_at_no_usual_distance_are_looked_at_a_little_more_often(counted, spacing):
    assert chunked(interval=1000.0).resolution(3600 / counted) == spacing


@pytest.mark.parametrize(
    ("window", "longest", "count", "length"),
    [(3600.0, 600.0, 6, 600.0), (3601.0, 600.0, 7, 514.429), (100.0, 600.0, 1, 100.0), (1000.0, 350.0, 3, 333.333)],
)
def test_a_window_is_cut_into_equal_pieces_of_whole_milliseconds(window, longest, count, length):
    pieces = chunked(window, longest)
    assert (pieces.count, pieces.length) == (count, length)


def test_the_pieces_of_different_objectives_end_at_different_times():
    ends = {chunked(objective=f"u{number}").end(0) for number in range(20)}
    assert len(ends) > 15
    assert all(0.0 < end < 600.2 for end in ends)


def test_a_piece_is_asked_for_its_bad_moments_and_for_all():
    bad, total = chunked(bad="up == bool 0").queries(15.0)
    assert [(query.key, query.max_series, query.owner) for query in (bad, total)] == [
        (("u", "sli:bad"), 1, "shop"),
        (("u", "sli:all"), 1, "shop"),
    ]
    assert bad.expr == "sum(sum_over_time((up == bool 0)[600000ms:15000ms]))"
    assert total.expr == "sum(count_over_time((up == bool 0)[600000ms:15000ms]))"


async def test_the_share_is_that_of_all_moments_of_the_window():
    case = Reading()
    assert case.share == "WindowPending"
    assert await case.read_all() == pytest.approx(0.1)
    ((start, end),) = case.metrics.spans
    assert (start, end) == (case.pieces.end(case.pieces.newest(NOW) - 5), case.pieces.end(case.pieces.newest(NOW)))
    assert case.windows.last_query(case.pieces) == NOW
    assert case.windows.last_query(chunked(objective="other")) == -math.inf


async def test_a_new_piece_takes_the_place_of_the_oldest():
    case = Reading()
    await case.read_all()
    assert await case.read(NOW + 1) is False
    assert len(case.metrics.spans) == 1, "nothing is over yet"
    case.metrics.bad = 7.0
    assert await case.read(NOW + 600) is False
    assert case.share == pytest.approx(12 / 60)
    case.metrics.silent = {"sli:bad"}
    await case.read_all(NOW + 1200)
    assert case.share == pytest.approx(11 / 60)
    case.metrics.silent = {"sli:bad", "sli:all"}
    await case.read_all(NOW + 1800)
    assert case.share == pytest.approx(10 / 50)
    case.metrics.silent = set()
    case.metrics.bad = math.nan
    await case.read_all(NOW + 2400)
    assert case.share == pytest.approx(9 / 50)


async def test_after_a_long_pause_no_more_than_the_window_is_read():
    case = Reading()
    await case.read_all()
    case.metrics.bad = 2.0
    later = NOW + 3 * 3600
    assert await case.read_all(later) == pytest.approx(0.2)
    start, end = case.metrics.spans[-1]
    assert (case.pieces.number(start), case.pieces.number(end)) == (
        case.pieces.newest(later) - 5,
        case.pieces.newest(later),
    )


@pytest.mark.parametrize(("length", "sizes"), [(5000.25, [1, 1, 1, 1]), (5000.0, [2, 2]), (30_000.0, [1, 1, 1, 1])])
async def test_one_request_looks_at_so_many_moments_and_at_one_piece_at_least(length, sizes):
    case = Reading(chunked(4 * length, length, interval=1.0), samples=3600.0)
    more = [await case.read() for _ in sizes]
    assert more == [True] * (len(sizes) - 1) + [False]
    assert [round((end - start) / case.pieces.length) + 1 for start, end in case.metrics.spans] == sizes
    assert case.share == pytest.approx(0.1)


@pytest.mark.parametrize(("late", "share"), [(1, 0.1), (2, 0.1), (3, "SourceTimeout")])
async def test_last_two_pieces_may_be_missing_from_a_window_that_was_complete(late, share):
    case = Reading()
    await case.read_all()
    case.metrics.failures["sli:all"] = TIMEOUT
    assert await case.read(NOW + late * 600) is False
    assert case.share == share if isinstance(share, str) else case.share == pytest.approx(share)


@pytest.mark.parametrize("name", ["sli:bad", "sli:all"])
async def test_pieces_that_could_not_be_had_are_asked_for_again_after_a_minute(name):
    case = Reading()
    case.metrics.failures[name] = TIMEOUT
    assert await case.read() is False
    assert case.share == "SourceTimeout"
    case.metrics.failures = {}
    await case.read(NOW + 59.5, oldest=NOW)
    assert (case.share, len(case.metrics.spans)) == ("SourceTimeout", 1)
    await case.read(NOW + 60.0, oldest=NOW)
    assert case.share == pytest.approx(0.1)


async def test_a_clock_that_was_set_back_does_not_keep_pieces_from_being_asked_for():
    case = Reading()
    case.metrics.failures["sli:bad"] = TIMEOUT
    await case.read()
    case.metrics.failures = {}
    await case.read(NOW - 5.0, oldest=NOW)
    assert case.share == pytest.approx(0.1)


@pytest.mark.parametrize(("bad", "total", "share"), [(30.0, 20.0, 1.0), (0.0, 10.0, 0.0), (0.0, 0.0, "NoData")])
async def test_error_ratio_of_a_window_is_between_0_and_1(bad, total, share):
    case = Reading()
    case.metrics.bad, case.metrics.all = bad, total
    assert await case.read_all() == share


async def test_how_often_series_are_sampled_is_asked_once_a_piece():
    case = Reading()
    await case.read_all()
    assert case.windows.questions(case.pieces, NOW) == ()
    assert case.windows.questions(case.pieces, NOW + 600) == case.pieces.samples
    assert case.windows.questions(chunked(3600.0, 300.0), NOW) == case.pieces.samples
    assert case.windows.questions(chunked(objective="new"), NOW) == case.pieces.samples


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (Answer((Sample((), 240.0),), NOW), True),
        (Answer((Sample((), 10.0), Sample((), 240.0)), NOW), True),
        (Answer((Sample((), 120.0),), NOW), False),
        (Answer((Sample((), 60.0),), NOW), False),
        (Answer((Sample((), math.inf),), NOW), False),
        (Answer((), NOW), False),
        (TIMEOUT, False),
        (None, False),
    ],
)
async def test_a_window_is_read_anew_where_samples_come_closer_to_each_other(answer, again):
    case = Reading(samples=120.0)
    await case.read_all()
    case.windows.prepare(case.pieces, {} if answer is None else {"samples": answer}, NOW)
    assert case.share == ("WindowPending" if again else pytest.approx(0.1))


async def test_a_window_is_read_anew_where_the_objective_has_changed_and_forgotten_with_it():
    case = Reading()
    await case.read_all()
    case.pieces = chunked(bad="another query")
    case.prepare(120.0)
    assert case.share == "WindowPending"
    await case.read_all()
    case.windows.retain(frozenset({"u"}))
    assert case.share == pytest.approx(0.1)
    case.windows.retain(frozenset())
    assert case.share == "WindowPending"
    assert await case.read() is False
