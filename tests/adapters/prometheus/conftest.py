"""The adapter, with the real Prometheus or with a server that a test controls."""

import asyncio
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from forestall.adapters.http import Endpoint
from forestall.adapters.prometheus import PrometheusMetrics, SourceConfig
from forestall.api import MetricSource
from forestall.engine.chunked_window import ChunkedWindow
from forestall.engine.indicator_queries import plan_queries

NOW = 1_790_000_000.0
INTERVAL, STALE_AFTER = 30.0, 120.0
SOURCE = MetricSource.read({"metadata": {"name": "real", "uid": "m"}, "spec": {"url": "http://x"}})
"""The real Prometheus as the fixture `real` names it."""


def pieces_of(slo):
    """Return the pieces of a threshold's window."""
    pieces = plan_queries(slo, SOURCE, INTERVAL).window_query
    assert isinstance(pieces, ChunkedWindow)
    return pieces


async def settled(observer, slo, now):
    """Run cycles until the window is read; return the error ratios and their time (s)."""
    asked, problem = {slo.uid: plan_queries(slo, SOURCE, INTERVAL)}, None
    deadline = time.monotonic() + 120
    for cycle in range(1000):
        at = now + 61 * cycle  # what was refused is asked for again after a minute
        _, ratios = await observer.observe(asked, lambda _: STALE_AFTER, at)
        problem = ratios[slo.uid].whole_problem
        if problem is None:
            return ratios[slo.uid], at
        if time.monotonic() > deadline:
            break
        await observer.read_windows(asked, lambda _: STALE_AFTER, at, 3.0)
        await asyncio.sleep(0.3)  # a server that has just got a month of the past refuses some of it meanwhile
    raise AssertionError(problem)


class Handler(BaseHTTPRequestHandler):
    """Records each request, and responds by the server's `behave`."""

    protocol_version = "HTTP/1.1"
    server: "FaultyServer"

    def do_GET(self):
        self._handle(urlsplit(self.path).query)

    def do_POST(self):
        self._handle(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _handle(self, query):
        self.params = {name: values[0] for name, values in parse_qs(query).items()}
        self.server.requests.append(copy(self))  # it goes on to handle the next request of its connection
        self.server.asked.set()
        with suppress(ConnectionError):
            self.server.behave(self)

    def answer(self, body=b"", status=200, **headers):
        """Send a whole response."""
        body = body if isinstance(body, bytes) else orjson.dumps(body)
        self.begin(status, **{"Content_Type": "application/json", "Content_Length": str(len(body)), **headers})
        self.wfile.write(body)

    def begin(self, status=200, **headers):
        """Send the status and the headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def ones(self, **more):
        """Answer each query of the request with one series of the value 1, or of the time for queries about
        freshness.
        """
        numbers = re.findall(r'"__forestall_query", "(\d+)"', self.params["query"]) or [None]
        labels = [{} if number is None else {"__forestall_query": number} for number in numbers]
        series = [{"metric": each, "value": [NOW, "1"]} for each in labels]
        self.answer({"status": "success", "data": {"resultType": "vector", "result": series}, **more})

    def refuse(self, kind, words, status):
        """Answer as Prometheus does when it refuses."""
        self.answer({"status": "error", "errorType": kind, "error": words}, status)

    def hang(self):
        """Do not respond until the test ends."""
        self.server.over.wait(30)

    def reset(self):
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_):
        """Log nothing."""


class FaultyServer(ThreadingHTTPServer):
    """A server on a free loopback port; `behave(handler)` answers each request."""

    daemon_threads = True
    request_queue_size = 128  # the default of 5 drops connections when the machine is busy
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.behave = Handler.ones
        self.asked = Event()
        self.over = Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Ignore errors: the tests break connections on purpose."""


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    """A server that answers every query with 1, unless a test sets `behave`."""
    with FaultyServer() as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def told() -> list[tuple[str, ...]]:
    """The adapter's reports of requests: the source of each, and of each failed one also the reason."""
    return []


@pytest.fixture
async def metrics(told):
    """The adapter without sources, with 3 s for each call."""
    adapter = PrometheusMetrics(
        budget=3,
        on_request=lambda source: told.append((source,)),
        on_failure=lambda source, reason: told.append((source, reason)),
    )
    yield adapter
    await adapter.close()


@pytest.fixture
def real(metrics, prometheus):
    """The adapter with the real Prometheus as its source `real`."""
    metrics.set_sources({"real": SourceConfig(Endpoint(prometheus.url))})
    return metrics


@pytest.fixture
def broken(metrics, faulty):
    """The adapter with the faulty server as its source `faulty`, which is given 1 s for a request."""
    metrics.set_sources({"faulty": SourceConfig(Endpoint(faulty.url, timeout=1))})
    return metrics
