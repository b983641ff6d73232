"""SLI, budget and burn rate equal those of Pyrra's and Sloth's rules. Kind: the number shown is not the number named.

Their rules are written here as expressions over the same series: counters with resets, a gap, and rollouts that rename
labels.
"""

import time

import numpy as np
import pytest
import requests

from forestall.api import ServiceLevelObjective
from forestall.core.duration import exact_duration
from forestall.core.series import SeriesMatrix
from forestall.core.slo import budget_remaining, burn_rate
from forestall.devcluster.remote_write import STALE, Series
from forestall.engine.observe import Observer

from .conftest import INTERVAL, STALE_AFTER, pieces_of, settled

DAY = 86400.0
WINDOW, OBJECTIVE = "7d", 99.0

INDICATORS = {
    "bad": {"ratio": {"bad": 'peers_total{code=~"5.."}', "total": "peers_total"}},
    "good": {"ratio": {"good": 'peers_total{code!~"5.."}', "total": "peers_total"}},
    "latency": {"latency": {"histogram": "peers_seconds", "threshold": "500ms"}},
    "threshold": {"threshold": {"query": "peers_up", "operator": "gte", "value": 1}},
}
BAD = 'sum({}(peers_total{{code=~"5.."}}[{}])) / sum({}(peers_total[{}]))'
SLOW = "(sum({0}(peers_seconds_count[{1}])) - sum({0}(peers_seconds_bucket{{le='0.5'}}[{1}])))"
DOWN = "(sum(count_over_time(peers_up[{0}])) - sum(sum_over_time(peers_up[{0}]))) / sum(count_over_time(peers_up[{0}]))"
PEERS = {
    # Pyrra: increases over the window; over shorter ones, and Sloth everywhere, rates.
    "ratio": lambda over, take: BAD.format(take, over, take, over),
    "latency": lambda over, take: f"{SLOW.format(take, over)} / sum({take}(peers_seconds_count[{over}]))",
    # Pyrra's gauges of 0 and 1.
    "threshold": lambda over, _: DOWN.format(over),
}


def counted(random, times, rate, resets):
    """Return a counter of so many events a second, which is reset at some times."""
    events = random.poisson(rate * np.diff(times, prepend=times[0] - 30.0)).astype(float)
    total = np.cumsum(events)
    for at in sorted(resets):
        total[at:] -= total[at - 1]
    return total


@pytest.fixture(scope="module")
def now(prometheus):
    """The time of all queries, up to which series were written; pods are replaced every two days."""
    random, end = np.random.default_rng(9), float(round(time.time()) - 5)
    written = []
    for number, first in enumerate(np.arange(end - 8 * DAY, end, 2 * DAY)):
        times = np.arange(first, first + 2 * DAY, 30.0) + random.uniform(0, 30)
        times = times[(times < end - 3.3 * DAY) | (times > end - 3.2 * DAY)]
        labels = {"job": "shop", "pod": f"pod-{number}", **({"zone": "a"} if number > 1 else {})}
        failing = np.where((times > end - 1.02 * DAY) & (times < end - DAY), 0.2, 0.003)
        failing = np.where(times > end - 1200, 0.05, failing)
        resets = random.integers(10, times.size - 10, 2)
        good, bad = (counted(random, times, 5 * share, resets) for share in (1 - failing, failing))
        up = np.where(random.random(times.size) < failing, 0.0, 1.0)
        of = {
            ("peers_total", "code", "200"): good,
            ("peers_total", "code", "503"): bad,
            ("peers_seconds_bucket", "le", "0.5"): good,
            ("peers_seconds_bucket", "le", "+Inf"): good + bad,
            ("peers_seconds_count", "job", "shop"): good + bad,
            ("peers_up", "job", "shop"): up,
        }
        over = [times[-1] + 30.0] if number < 3 else []  # the scrape that no longer finds it
        written += [
            Series({"__name__": name, label: value, **labels}, [*times, *over], [*values, *(STALE for _ in over)])
            for (name, label, value), values in of.items()
        ]
    prometheus.write(written)
    return end


def asked(server, query, at):
    """Return the single value of a query."""
    params = {"query": query, "time": at}
    answer = requests.get(f"{server.url}/api/v1/query", params=params, timeout=30).json()
    assert answer["status"] == "success", answer
    (one,) = answer["data"]["result"]
    return float(one["value"][1])


@pytest.mark.parametrize("name", INDICATORS)
async def test_sli_budget_and_burn_rate_are_those_of_pyrra_and_sloth(real, prometheus, now, name):
    spec = {"target": {"name": "shop"}, "source": "real", "objective": OBJECTIVE, "window": WINDOW}
    metadata = {"name": name, "namespace": "shop", "uid": f"peers-{name}"}
    slo = ServiceLevelObjective.read({"metadata": metadata, "spec": {**spec, "indicator": INDICATORS[name]}})
    ratios, at = await settled(Observer(real, SeriesMatrix(INTERVAL, 100)), slo, now)
    rule = PEERS.get(name, PEERS["ratio"])
    # What is put together from pieces is as old as the newest of them.
    seen = pieces_of(slo).end(pieces_of(slo).newest(at - STALE_AFTER)) if name == "threshold" else at
    whole = asked(prometheus, rule(WINDOW, "increase"), seen)
    assert ratios.window == pytest.approx(whole, rel=1e-3)
    assert budget_remaining(ratios.window, OBJECTIVE) == pytest.approx((0.01 - whole) / 0.01, abs=1e-3)
    long = asked(prometheus, rule(exact_duration(round(ratios.long_window)), "rate"), now)
    assert burn_rate(ratios.long, OBJECTIVE) == pytest.approx(long / 0.01, rel=1e-3 if name != "threshold" else 0.1)
