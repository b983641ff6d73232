"""The Prometheus server that the adapter tests, the benchmarks and the demo use."""

import math
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import psutil
import pytest
import requests

from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.remote_write import STALE, HistogramSeries, NativeHistogram, Series
from forestall.devcluster.workspace import Workspace
from forestall.errors import CommandFailed

DAY = 86400.0


def ask(server, query, at=None):
    """Return the samples of an instant query, by their labels without the name."""
    answer = requests.get(f"{server.url}/api/v1/query", params={"query": query, "time": at}, timeout=10).json()
    assert answer["status"] == "success", answer
    return {
        tuple(sorted((name, value) for name, value in one["metric"].items() if name != "__name__")): one["value"][1]
        for one in answer["data"]["result"]
    }


def test_generated_history_reads_back_exactly(prometheus):
    now = time.time()
    times = np.arange(now - 20 * DAY, now, 600)
    rng = np.random.default_rng(1)
    values = {f"{number}": rng.normal(size=times.size) * 10.0**number for number in (-12, 0, 12)}
    prometheus.write(Series({"__name__": "past", "scale": scale}, times, one) for scale, one in values.items())
    for index in (0, 1, times.size // 2, times.size - 1):
        read = ask(prometheus, "past", at=times[index] + 0.5)
        assert {key[0][1]: float(value) for key, value in read.items()} == {
            scale: one[index] for scale, one in values.items()
        }
    assert ask(prometheus, "sum(count_over_time(past[21d]))")[()] == str(3 * times.size)


def test_too_many_series_for_one_request_all_arrive(prometheus):
    times = np.arange(time.time() - 3600, time.time(), 10)
    prometheus.write(Series({"__name__": "many", "i": str(i)}, times, np.full(times.size, i)) for i in range(1500))
    assert ask(prometheus, "count(many)")[()] == "1500"
    assert ask(prometheus, "sum(many)")[()] == str(sum(range(1500)))


def test_nan_and_infinity_are_kept_and_a_staleness_marker_ends_a_series(prometheus):
    end = time.time() - 100
    values = [math.nan, math.inf, -math.inf, 1.0, STALE]
    prometheus.write([Series({"__name__": "odd"}, [end + number for number in range(5)], values)])
    read = [ask(prometheus, "odd", at=end + number + 0.1).get(()) for number in range(5)]
    assert read == ["NaN", "+Inf", "-Inf", "1", None]


def test_native_histogram_has_quantiles(prometheus):
    now = time.time()
    # one bucket up to 0.5, and one up to 1, with half of the observations each
    histogram = NativeHistogram(now, first=-1, counts=[10, 10], total=11.0, schema=0)
    prometheus.write([HistogramSeries({"__name__": "latency"}, [histogram])])
    assert float(ask(prometheus, "histogram_quantile(0.5, latency)", now)[()]) == pytest.approx(0.5)
    assert float(ask(prometheus, "histogram_avg(latency)", now)[()]) == pytest.approx(0.55)
    assert float(ask(prometheus, "histogram_fraction(0, 0.5, latency)", now)[()]) == pytest.approx(0.5)


def test_series_older_than_allowed_are_refused_with_the_reason(prometheus):
    prometheus.write([Series({"__name__": "new"}, [time.time()], [1])])
    with pytest.raises(CommandFailed, match=r"out of bounds|too old"):
        prometheus.write([Series({"__name__": "ancient"}, [time.time() - 60 * DAY], [1])])


def test_targets_are_scraped_and_can_be_changed(programs):
    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(b"answers_total 42\n")

        def log_message(self, *_):
            pass

    with Workspace("test") as workspace, ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as target:
        Thread(target=target.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{target.server_port}"
        job = {"job_name": "first", "static_configs": [{"targets": [address]}]}
        with PrometheusServer(workspace, programs, scrape_configs=[job], scrape_interval="200ms") as server:
            wait_for(server, 'answers_total{job="first"}', "42")
            server.scrape({**job, "job_name": "second"})
            wait_for(server, 'answers_total{job="second"}', "42")
            with pytest.raises(CommandFailed, match="job_nam not found"):
                server.scrape({**job, "job_nam": "third"})
        target.shutdown()


def wait_for(server, query, value):
    deadline = time.monotonic() + 20
    while list(ask(server, query).values()) != [value]:
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_server_that_cannot_start_says_why_and_leaves_nothing(programs):
    before = psutil.Process().children()
    with Workspace("test") as workspace:
        server = PrometheusServer(workspace, programs, scrape_interval="now and then")
        with pytest.raises(CommandFailed, match=r"(?s)Prometheus did not start.*not a valid duration string"):
            server.start()
    assert psutil.Process().children() == before
