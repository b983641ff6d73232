"""The budget over a window counts every sample in it. Kind: the number shown is not the number named."""

import time

import numpy as np
import pytest
import requests

from forestall.api import ServiceLevelObjective
from forestall.core.series import SeriesMatrix
from forestall.core.slo import burn_rate
from forestall.devcluster.remote_write import Series
from forestall.engine.indicator_queries import plan_queries
from forestall.engine.observe import Observer

from .conftest import INTERVAL, SOURCE, STALE_AFTER, pieces_of, settled

DAY = 86400.0


def objective(uid, query, window="28d", **threshold):
    spec = {
        "target": {"name": "shop"},
        "source": "real",
        "indicator": {"threshold": {"query": query, "operator": "gte", "value": 1, **threshold}},
        "objective": 99.5,
        "window": window,
    }
    return ServiceLevelObjective.read({"metadata": {"name": uid, "namespace": "shop", "uid": uid}, "spec": spec})


def probe(seed, spacing, now, days=29.5):
    """Return the times and the values of a probe that fails occasionally, mostly for a sample or two."""
    random = np.random.default_rng(seed)
    times = np.arange(now - days * DAY, now - 5, spacing) + random.uniform(0, spacing)
    times = np.round(times + random.normal(0, 0.004, times.size), 3)  # scrapes are not exact to the millisecond
    up = np.ones(times.size)
    for start in random.integers(0, times.size, times.size // 600):
        up[start : start + int(random.geometric(0.6))] = 0
    return times, up


@pytest.fixture(scope="module")
def probes(prometheus):
    """Return the time of the end, and by its spacing (s) each probe's times and values."""
    now = float(round(time.time()))
    given = {spacing: probe(int(spacing), spacing, now) for spacing in (10.0, 15.0, 30.0, 60.0)}
    prometheus.write(Series({"__name__": f"probe_{spacing:g}s"}, *each) for spacing, each in given.items())
    return now, given


def exact(samples, pieces, at):
    """Return the exact bad share of all samples of the window at `at` (s)."""
    times, up = samples
    end = pieces.end(pieces.newest(at - STALE_AFTER))
    inside = (times > end - pieces.window) & (times <= end)
    return float((up[inside] < 1).mean())


@pytest.mark.parametrize("spacing", [10.0, 15.0, 30.0, 60.0])
async def test_budget_of_a_month_counts_every_sample_at_any_scrape_interval(real, probes, spacing):
    now, given = probes
    slo = objective(f"probe-{spacing:g}", f"probe_{spacing:g}s")
    observer = Observer(real, SeriesMatrix(INTERVAL, 100))
    ratios, at = await settled(observer, slo, now)
    assert ratios.window == pytest.approx(exact(given[spacing], pieces_of(slo), at), rel=1e-3)
    assert burn_rate(ratios.window, 99.5) > 0.1  # there is something to be off by


async def test_only_new_pieces_are_read_later_and_the_window_moves(real, prometheus, probes):
    now, given = probes
    slo = objective("moving", "probe_15s")
    asked = {slo.uid: plan_queries(slo, SOURCE, INTERVAL)}
    observer, pieces = Observer(real, SeriesMatrix(INTERVAL, 100)), pieces_of(slo)
    first, earlier = await settled(observer, slo, now - DAY)
    assert first.window == pytest.approx(exact(given[15.0], pieces, earlier), rel=1e-3)
    for at in (earlier + pieces.longest, earlier + 7 * pieces.longest, now):
        await observer.read_windows(asked, lambda _: STALE_AFTER, at, 3.0)
        ratios, then = await settled(observer, slo, at)
        assert ratios.window == pytest.approx(exact(given[15.0], pieces, then), rel=1e-3)


async def test_other_values_gaps_and_new_labels_are_exact_too(real, prometheus, probes):
    now, _ = probes
    random = np.random.default_rng(5)
    times = np.arange(now - 8 * DAY, now - 5, 15.0) + 3.21
    values = np.where(random.random(times.size) < 0.01, 9.0, 0.5)
    values[random.random(times.size) < 0.02] = np.nan
    half = times.size // 2
    gap = (np.arange(times.size) > half) & (np.arange(times.size) < half + 2000)
    old, new = (
        np.flatnonzero(~gap & (np.arange(times.size) <= half)),
        np.flatnonzero(~gap & (np.arange(times.size) > half)),
    )
    prometheus.write(
        Series({"__name__": "depth", "version": name}, times[some], values[some])
        for name, some in (("1", old), ("2", new))
    )
    slo = objective("depth", "depth", window="7d", operator="lt", value=5)
    ratios, at = await settled(Observer(real, SeriesMatrix(INTERVAL, 100)), slo, now)
    pieces = pieces_of(slo)
    end = pieces.end(pieces.newest(at - STALE_AFTER))
    known = ~gap & np.isfinite(values) & (times > end - pieces.window) & (times <= end)
    # After the last sample before the gap its value is held for the source's five minutes.
    assert ratios.window == pytest.approx(float((values[known] >= 5).mean()), rel=2e-2)


async def test_window_of_a_series_that_never_existed_is_reported(real, probes):
    now, _ = probes
    slo = objective("never", "never_was")
    observer, asked = Observer(real, SeriesMatrix(INTERVAL, 100)), {slo.uid: plan_queries(slo, SOURCE, INTERVAL)}
    problem = None
    for _ in range(10):
        _, ratios = await observer.observe(asked, lambda _: STALE_AFTER, now)
        await observer.read_windows(asked, lambda _: STALE_AFTER, now, 3.0)
        problem = ratios[slo.uid].whole_problem
    assert problem is not None
    assert problem.reason == "NoData"


def test_query_of_a_piece_is_much_cheaper_than_of_the_window(prometheus, probes):
    now, _ = probes
    pieces = pieces_of(objective("cost", "probe_15s"))
    bad, _ = pieces.queries(15.0)
    end = pieces.end(pieces.newest(now - STALE_AFTER))

    def seconds(first):
        params = {"query": bad.expr, "start": first, "end": end, "step": pieces.length}
        begun = time.monotonic()
        answer = requests.get(f"{prometheus.url}/api/v1/query_range", params=params, timeout=60).json()
        assert answer["status"] == "success"
        return time.monotonic() - begun

    whole, piece = seconds(end - pieces.length * (pieces.count - 1)), min(seconds(end) for _ in range(5))
    assert piece < whole / 5, f"window {whole:.3f} s, piece {piece:.4f} s"
