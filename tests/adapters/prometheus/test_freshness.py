"""Existing series never count as absent, whichever range, offset or function a query reads them with.

The kind: freshness is judged by a query that reads less, or more, than the original one. Combines every form of
selector with ages of the newest sample, intervals between samples, and the source's `staleAfter`.
"""

import time
from dataclasses import replace

import numpy as np
import pytest

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.core.series import SeriesMatrix
from forestall.devcluster.remote_write import STALE, Series
from forestall.engine.indicator_queries import plan_queries
from forestall.engine.observe import Observer

NAMESPACE = "looks"
ALIVE = 4.0
"""The value of all gauges, and the increase per second of all counters."""


@pytest.fixture(scope="module")
def now():
    """The time of all queries."""
    return round(time.time() - 10, 3)


EVERY = (30, 120, 600)
"""Intervals between samples (s)."""
AGES = (10, 100, 250, 420, 580)
"""Ages of the newest sample (s); all of these series are alive, so none is older than its interval."""
ALIVE_SERIES = [(every, age) for every in EVERY for age in AGES if age < every]


def write(prometheus, now, name, values, times, **labels):
    labels = {"__name__": name, "namespace": NAMESPACE, "job": "shop", **labels}
    prometheus.write([Series(labels, times, np.broadcast_to(np.asarray(values, float), np.shape(times)))])


@pytest.fixture(scope="module")
def series(prometheus, now):
    """Series that are alive, with a target that is up; and some that ended with a staleness marker."""
    write(prometheus, now, "up", 1.0, np.arange(now - 7200, now, 15), instance="a")
    for every, age in ALIVE_SERIES:
        times = np.arange(now - age, now - 7200, -every)[::-1]
        write(prometheus, now, f"gauge_{every}_{age}", ALIVE, times)
        write(prometheus, now, f"total_{every}_{age}", ALIVE * (times - times[0]), times)
    times = np.arange(now - 420, now - 7200, -600)[::-1]
    write(prometheus, now, "gauge_pairs", ALIVE, np.sort(np.concatenate((times, times - 30))))
    write(prometheus, now, "gauge_lost", ALIVE, np.arange(now - 7200, now - 700, 15))
    for every in EVERY:  # an end is marked when the next sample is due, which can't be seen of what is scraped rarely
        times = np.arange(now - (2600 if every > 300 else 700), now - 7200, -every)[::-1]
        ended = np.append(times, times[-1] + every)
        write(prometheus, now, f"gauge_{every}_gone", [*np.full(len(times), ALIVE), STALE], ended)
        write(prometheus, now, f"total_{every}_gone", [*(ALIVE * (times - times[0])), STALE], ended)


@pytest.fixture
def read(prometheus, real, now, series):
    """Run many queries at once; return the value of each, or the reason why there is none."""

    async def read(queries, stale_after):
        terms = {"url": prometheus.url, "enforceLabel": "namespace", "staleAfter": stale_after}
        source = MetricSource.read({"metadata": {"name": "real", "uid": "s"}, "spec": terms})
        asked = {}
        for query in queries:
            load = {"name": "load", "query": query, "limit": 10, "horizon": "10m"}
            spec = {"target": {"name": "x"}, "indicator": {"raw": {"errorRatio": "up"}}, "objective": 99}
            body = {"metadata": {"name": "x", "namespace": NAMESPACE, "uid": query, "generation": 1}}
            slo = ServiceLevelObjective.read({**body, "spec": {**spec, "leadingIndicators": [load]}})
            asked[query] = replace(plan_queries(slo, source, 30.0), source="real")
        seconds = max(source.spec.stale_after.seconds, 60.0)
        readings, _ = await Observer(real, SeriesMatrix(30.0, 20)).observe(asked, lambda _: seconds, now)
        loads = {
            query: next(each for each in some if each.watched.indicator == "load") for query, some in readings.items()
        }
        return {
            query: next(iter(load.values.values()), getattr(load.problem, "reason", ""))
            for query, load in loads.items()
        }

    return read


def over(first, last, samples=1):
    """Return a predicate: whether there are so many samples from `first` to `last` seconds ago."""
    return lambda every, age: sum(first <= age + n * every < last for n in range(200)) >= samples


def always(apart):
    """Return a predicate: whether the interval between samples is at most this, so that every moment has one."""
    return lambda every, _: every <= apart


GAUGE = {
    "max(g) or vector(0)": over(0, 300),
    "max(g > 3) or vector(0)": over(0, 300),
    "max(max_over_time(g[7m])) or vector(0)": over(0, 420),
    "max(last_over_time(g[30m])) or vector(0)": over(0, 1800),
    "max(max_over_time(g[7m:1m])) or vector(0)": over(0, 660),
    "min_over_time((max(g) or vector(0))[7m:1m])": always(200),
    "min_over_time((max(last_over_time(g[20m])) or vector(0))[30m:1m])": always(600),
    "max(g offset 1m) or vector(0)": over(60, 360),
    "max(max_over_time(g[3m] offset 2m)) or vector(0)": over(120, 300),
    "max(g @ end()) or vector(0)": over(0, 300),
    "max(g) or max(up)": over(0, 300),
    "0 * max(up unless on () g) or max(g offset 1s)": over(1, 300),
    "vector(4 * (scalar(max(g)) > bool 3))": over(0, 300),
    "4 + 0 * sum(g) or vector(0)": over(0, 300),
    'max({__name__="g"}) or vector(0)': over(0, 300),
    'max({__name__=~"g"}) or vector(0)': over(0, 300),
    "4 - 4 * (absent(g) or vector(0))": over(0, 300),
    "4 - 4 * (absent_over_time(g[7m]) or vector(0))": over(0, 420),
    "4 - 4 * (absent(g offset 1m) or vector(0))": over(60, 360),
}
"""Expressions over a gauge, which give 4 where they see it, with the predicate for that."""
COUNTER = {
    "sum(rate(t[1m])) or vector(0)": over(0, 60, 2),
    "sum(rate(t[5m])) or vector(0)": over(0, 300, 2),
    "sum(rate(t[30m])) or vector(0)": over(0, 1800, 2),
    "sum(increase(t[5m])) / 300 or vector(0)": over(0, 300, 2),
    "min_over_time((sum(rate(t[5m])) or vector(0))[10m:1m])": always(120),
    "sum(max_over_time(rate(t[5m])[10m:1m])) or vector(0)": over(0, 300, 2),
    "max(deriv(t[5m])) or vector(0)": over(0, 300, 2),
}
"""Expressions over a counter, likewise."""


def about(every, age):
    """Return the queries about one of the series, with the predicate of each."""
    for query, sees in (GAUGE | COUNTER).items():
        named = query.replace("(g", f"(gauge_{every}_{age}").replace(" g)", f" gauge_{every}_{age})")
        named = named.replace('"g"', f'"gauge_{every}_{age}"').replace("(t[", f"(total_{every}_{age}[")
        yield named, sees


@pytest.mark.parametrize("stale_after", [2, 6, 20])
async def test_existing_series_are_never_zero(read, stale_after):
    """The result is the value, or unknown; and known where the query sees the series and it is fresh."""
    asked = {query: sees(*one) and one[1] < 60 * stale_after for one in ALIVE_SERIES for query, sees in about(*one)}
    values = await read(asked, f"{stale_after}m")
    known = {query: value for query, value in values.items() if value not in ("NoData", "StaleData")}
    assert {query: value for query, value in known.items() if value != pytest.approx(ALIVE)} == {}
    assert [query for query, is_seen in asked.items() if is_seen and query not in known] == []


@pytest.mark.parametrize("stale_after", [2, 6, 20])
async def test_ended_series_are_zero(read, stale_after):
    """The series ended with a staleness marker and its target is up, so it is not merely invisible to the query."""
    gauge = ("max(g)", "max(g > 3)", "max(g offset 1m)", "max(max_over_time(g[7m]))", 'max({__name__="g"})')
    zero = (*gauge, 'max({__name__=~"g"})', "sum(rate(t[5m]))", "sum(rate(t[1m]))")
    asked = [q for every in EVERY for q, _ in about(every, "gone") if q.startswith(_named(zero, every))]
    assert len(asked) == len(zero) * len(EVERY)
    assert await read(asked, f"{stale_after}m") == dict.fromkeys(asked, 0.0)


@pytest.mark.parametrize("stale_after", ["2m", "20m"])
async def test_rare_pairs_of_samples_still_exist_and_frequent_samples_that_stopped_do_not(read, stale_after):
    """Also without staleness markers, as where samples are pushed."""
    asked = {
        "max(gauge_pairs) or vector(0)": "NoData",
        "absent(gauge_pairs)": "NoData",
        "max(gauge_lost) or vector(0)": 0,
    }
    assert await read(asked, stale_after) == asked


def _named(forms, every):
    return tuple(
        form.replace("(g", f"(gauge_{every}_gone")
        .replace('"g"', f'"gauge_{every}_gone"')
        .replace("(t[", f"(total_{every}_gone[")
        + " or vector"
        for form in forms
    )
