"""The connections to one source, with limits for the time and size of responses, and no settings from the
environment.
"""

import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, ReadTimeoutError

from forestall.adapters.http import Endpoint, EndpointSession
from forestall.adapters.http.sessions import CONNECT_S
from forestall.adapters.prometheus.errors import SourceTrouble
from forestall.adapters.prometheus.responses import Payload, check_count, read_payload, too_large
from forestall.adapters.server_time import clock_of
from forestall.errors import InvalidEndpoint

THREADS = 8
"""How many requests may run at once."""
LARGEST = 32 << 20
"""The largest response (bytes) that is read."""

_LONGEST_GET = 2000
_CHUNK = 1 << 16
_SERVER_SHARE = 0.9
"""The share of the timeout that is sent to the source, so that it can respond with a timeout error before the
connection is closed.
"""


class Connection:
    """Queries one source. Its methods block, and are safe for use from several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SourceTrouble when the endpoint can't be used."""
        try:
            self._session = _Session(endpoint, THREADS)
        except InvalidEndpoint as error:
            raise SourceTrouble("SourceDown", f"the source can't be used: {error}") from error
        self._client = PrometheusConnect(url=self._session.base, session=self._session)

    def instant(self, expr: str, at: float, limit: int, timeout: float) -> Payload:
        """Return the series of `expr` at time `at` (s), at most `limit` of them, within `timeout` seconds.

        Raises SourceTrouble or QueryTrouble, and nothing else.
        """
        params = {"time": f"{at:.3f}", **_bounds(limit, timeout)}
        return _payload(self._client.custom_query(expr, params, timeout))

    def range(self, expr: str, span: tuple[float, float, float], limit: int, timeout: float) -> Payload:
        """Return the series of `expr` over `span`: start, end and step (s). As `instant`."""
        start, end, step = span
        exact = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}  # the library rounds to seconds
        first, last = (datetime.fromtimestamp(timestamp, UTC) for timestamp in (start, end))
        params = {**exact, **_bounds(limit, timeout)}
        return _payload(self._client.custom_query_range(expr, first, last, exact["step"], params, timeout))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _bounds(limit: int, timeout: float) -> dict[str, str]:
    return {"limit": str(limit), "timeout": f"{timeout * _SERVER_SHARE:.3f}"}


def _payload(response: Any) -> Payload:
    if not isinstance(response, Payload):
        raise TypeError(f"the client returned {type(response).__name__}, not what the session gave it")
    return response


class _Answered(requests.Response):
    """The response for PrometheusConnect, which returns `data.result` alone and drops the warnings: so the whole
    payload is put there.
    """

    def __init__(self, payload: Payload) -> None:
        super().__init__()
        self.status_code = 200
        self._payload = payload

    def json(self, **_: Any) -> Any:
        return {"data": {"result": self._payload}}


class _Session(EndpointSession):
    def request(  # type: ignore[override]  # called by PrometheusConnect alone, in this form
        self, method: str, url: str, params: dict[str, Any], timeout: float, **options: Any
    ) -> requests.Response:
        """Return the response with its whole body; a long query is sent in the body of the request."""
        sent = time.monotonic()
        deadline = sent + timeout
        argument = "params" if len(params["query"]) <= _LONGEST_GET else "data"
        try:
            response = super().request(
                method if argument == "params" else "POST",
                url,
                **{**options, argument: params},
                timeout=timeout,
            )
            clock = clock_of(response.headers, sent, time.monotonic())
            with response:
                body = _read(response.raw, deadline)
        except ValueError as error:  # some are RequestExceptions too; their words may hold a secret
            raise SourceTrouble("SourceDown", "the source can't be used: its url is not what HTTP allows") from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _translated(error) from error
        check_count(body, int(params["limit"]))
        headers = response.headers
        kind, location = headers.get("Content-Type", ""), headers.get("Location", "")
        payload = read_payload(response.status_code, kind, location, body)
        return _Answered(replace(payload, size=len(body), clock=clock))


def _read(raw: BaseHTTPResponse, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := raw.read1(_CHUNK, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise too_large(parts[0], LARGEST)
        if time.monotonic() > deadline:
            raise SourceTrouble("SourceTimeout", "the source did not finish its answer in time", may_overload=True)
    return b"".join(parts)


def _translated(error: Exception) -> SourceTrouble:
    if isinstance(error, requests.ConnectTimeout):
        return SourceTrouble("SourceTimeout", f"the source did not accept a connection within {CONNECT_S:g} s")
    if isinstance(error, requests.Timeout | ReadTimeoutError):
        return SourceTrouble("SourceTimeout", "the source did not answer in time", may_overload=True)
    cause = _cause(error)
    if isinstance(cause, ssl.SSLError):
        return SourceTrouble("SourceDown", f"no TLS connection to the source: {cause.reason or cause}")
    if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
        message = cause.strerror or str(cause)
        return SourceTrouble("SourceDown", f"no connection to the source: {message}", transient=True)
    return SourceTrouble("SourceBadAnswer", f"the source's answer broke off ({type(cause).__name__})", transient=True)


def _cause(error: BaseException) -> BaseException:
    """Return the root cause of an error: the libraries wrap it several times, in messages with the whole query."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error
