"""A source in memory, whose answers are parsed like HTTP responses."""

import re
import ssl

import orjson
import pytest
from tenacity import wait_none

from forestall.adapters.http import Endpoint
from forestall.adapters.prometheus import PrometheusMetrics, SourceConfig
from forestall.adapters.prometheus.responses import read_payload
from forestall.adapters.prometheus.triage import CANARY

AT = 1_790_000_000.0
_MARKED = re.compile(r'label_replace\((.*?), "__forestall_query", "(\d+)", "", ""\)')


class FakeSource:
    """Answers every query with one series of the value 1, unless a test sets `behave`.

    `behave(exprs)` returns the body of the answer, or its status and body; `exprs` has the queries of a request by the
    number that marks each, or by None where it is asked alone.
    """

    def __init__(self):
        self.requests = []
        self.behave = self.ones

    @staticmethod
    def ones(exprs, **more):
        series = [{"metric": {} if n is None else {"__forestall_query": n}, "value": [AT, str(AT)]} for n in exprs]
        return {"status": "success", "data": {"resultType": "vector", "result": series}, **more}

    def _ask(self, expr):
        self.requests.append(expr)
        exprs = {number: text for text, number in _MARKED.findall(expr)} or {None: expr}
        answer = self.behave(exprs)
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        body = body if isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
        return read_payload(status, "application/json", "", body)

    def instant(self, expr, at, limit, timeout):
        """As `Connection.instant`."""
        return self._ask(expr)

    def range(self, expr, span, limit, timeout):
        """As `Connection.range`."""
        return self._ask(expr)

    def close(self):
        """As `Connection.close`."""

    @property
    def canaries(self):
        """How often the probe was sent."""
        return self.requests.count(CANARY)


@pytest.fixture
def fake_source(monkeypatch):
    """A source in memory, to which requests are repeated without the usual pause."""
    source = FakeSource()
    monkeypatch.setattr("forestall.adapters.prometheus.source.Connection", lambda endpoint: source)
    monkeypatch.setattr("forestall.adapters.prometheus.source._BACKOFF", wait_none())
    return source


@pytest.fixture
def no_system_certificates(monkeypatch):
    """Skip to load the certificates of the system, which takes longer than a test of a server that has none."""
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: None)


@pytest.fixture
def make_metrics():
    """Return a function that makes an adapter with one source, `fake`."""

    def make(**more):
        metrics = PrometheusMetrics(budget=30, **more)
        metrics.set_sources({"fake": SourceConfig(Endpoint("http://fake"))})
        return metrics

    return make
