"""Sends one request to the Kubernetes API: authenticated, with a timeout, and with errors translated to
`ClusterError`.
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.exceptions import ApiException

from forestall import __version__
from forestall.adapters.kubernetes.access import Access
from forestall.adapters.server_time import clock_of
from forestall.core.clock_skew import ClockOffset
from forestall.errors import ClusterError, Conflict, Denied, Forbidden, NotFound, Throttled, Unavailable, Unreadable

TIMEOUT = 4.0
"""The timeout (s) of one request; the timing of the lease depends on it."""
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
JSON = "application/json"
_GOING = "NamespaceTerminating"
_ADMISSION = re.compile(r"admission webhook \"[^\"]+\" denied the request|AdmissionPolicy '[^']+'.* denied request")
"""How the message of an admission refusal reads. Webhooks choose the status code, and policies the reason, so only the
message shows it.
"""
_AUTHORIZER = re.compile(r'(?:^|forbidden: )User "(?:[^"\\]|\\.)*" cannot [a-z]+ (?:resource|path) "')
"""How the message of an authorizer's refusal reads, for every kind of authorizer."""
_STARTING = "not yet ready to handle request"
"""The message of a server that is starting, can't authorize a request yet, and refuses it as forbidden."""
_SEVERAL_BUDGETS = "more than one PodDisruptionBudget"
"""The message, with status 500, for the eviction of a pod that two PodDisruptionBudgets select."""
_UNKNOWN_FIELD = re.compile(r"strict decoding error: unknown field|: field not declared in schema")
"""How a write of a field is refused that the definition of its kind does not have, with the code 400 or 500."""
_OUTDATED = "the cluster's definitions are older than this forestall: apply those of its version, `forestall crds`"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Expired(ClusterError):
    """A list's continue token is too old (410)."""


class UnknownPath(NotFound):
    """The server has no such resource, in contrast to no such object."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: tuple[tuple[str, str | int], ...]
    headers: Mapping[str, str]
    body: Any
    timeout: float


class Api:
    """The API server, for raw requests; an asynchronous context manager."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client = ApiClient(access.configuration)
        self.clock: ClockOffset | None = None
        """The offset of the API server's clock from `time.monotonic()`, by its last response."""
        self._client.user_agent = f"forestall/{__version__}"

    async def __aenter__(self) -> Self:
        """Return the API; connections are opened on demand."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 -- the whole request's limit is the client's to keep
    ) -> dict[str, Any]:
        """Send one request and return the JSON object of the answer.

        After a refused token the credentials are reloaded and the request is sent once more, because it was not
        executed. No other request is repeated.

        Raises:
            ClusterError: or a subclass, with the request and the server's message.
        """
        if any(part in ("", ".", "..") for part in path.removeprefix("/").split("/")):
            raise ClusterError(f"{method} {path!r}: that is not a path")  # it would be another one on its way
        headers = {"Content-Type": content_type, "Accept": accept}
        description = f"{method} {path}"
        used = self._access.token
        request = _Request(method, path, tuple((query or {}).items()), headers, body, min(timeout, TIMEOUT))
        status, data = await self._send(request)
        if status == 401 and await self._access.renew(used):
            status, data = await self._send(request)
        if not 200 <= status <= 299:
            raise refusal(status, data, description)
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise Unavailable(f"{description}: the answer is not JSON") from error
        except RecursionError as error:  # a custom resource may hold any JSON
            raise Unreadable(f"{description}: the answer is nested too deeply") from error
        if not isinstance(answer, dict):
            raise Unavailable(f"{description}: the answer is not a JSON object")
        return answer

    async def _send(self, request: _Request) -> tuple[int, bytes]:
        description = f"{request.method} {request.path}"
        try:
            serialized = await self._client.param_serialize(
                request.method,
                request.path,
                query_params=list(request.query),
                header_params=dict(request.headers),
                body=request.body,
                auth_settings=["BearerToken"],
            )
            sent = time.monotonic()
            response = await self._client.call_api(
                *serialized, _request_timeout=aiohttp.ClientTimeout(total=request.timeout)
            )
            self.clock = clock_of(response.getheaders(), sent, time.monotonic()) or self.clock  # type: ignore[no-untyped-call]
            return response.status, await response.read()  # type: ignore[no-untyped-call]
        except TimeoutError as error:
            raise Unavailable(f"{description}: no answer within {request.timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{description}: {str(error) or type(error).__name__}") from error
        except (ApiException, RuntimeError) as error:  # nothing was sent: no such body, or the session is closed
            raise ClusterError(f"{description}: {error}") from error


def segment(text: str) -> str:
    """Return `text` as one segment of a path."""
    return quote(text, safe="")


def refusal(status: int, data: bytes, description: str) -> ClusterError:
    """Return the error for a response of `status` with the body `data` to the request that `description` names.

    The status code alone does not show who refused the request, and so what people can do about it.
    """
    reason, message = _status(data)
    text = f"{description}: {message or f'HTTP {status}'}"
    if _ADMISSION.search(message) or _UNKNOWN_FIELD.search(message):
        return Denied(f"{text}; {_OUTDATED}" if _UNKNOWN_FIELD.search(message) else text)
    match status:
        case 401:
            return Forbidden(f"{description}: the API server does not accept these credentials")
        case 403:
            return _forbidden(data, message, description, text)
        case 404:
            return NotFound(text) if _names_an_object(data) else UnknownPath(text)
        case 409:
            return Conflict(text)
        case 410:
            return Expired(text)
        case 429:
            return Throttled("; ".join([text, *(str(cause.get("message")) for cause in _causes(data))]))
        case 500 if _SEVERAL_BUDGETS in message:
            return Throttled(text)
        case _ if status >= 500 or reason == "ServerTimeout":
            return Unavailable(text, answered=True)
        case _:
            return ClusterError(text)


def _forbidden(data: bytes, message: str, description: str, text: str) -> ClusterError:
    """Return the error for a response of 403, which quotas and other built-in admission use as well as authorizers."""
    if _GOING in [cause.get("reason") for cause in _causes(data)]:
        return NotFound(text)  # not a matter of rights: the namespace is about to go with all that is in it
    if _STARTING in message:
        return Unavailable(text, answered=True)
    if description.startswith("GET ") or _AUTHORIZER.search(message):
        return Forbidden(text)
    if _details(data).get("kind") == "poddisruptionbudgets":
        return Throttled(text)  # the budget's controller has yet to catch up
    return Denied(text)


def _status(data: bytes) -> tuple[str, str]:
    """Return reason and message of a `Status` object; for anything else the beginning of the text as the message."""
    try:
        body = json.loads(data)
        return str(body.get("reason", "")), str(body.get("message", ""))
    except (ValueError, AttributeError):
        return "", data[:200].decode(errors="replace").strip()


def _causes(data: bytes) -> list[dict[str, Any]]:
    """Return the causes of a `Status` object, such as the PodDisruptionBudget that does not allow an eviction."""
    causes = _details(data).get("causes")
    return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []


def _names_an_object(data: bytes) -> bool:
    return bool(_details(data).get("name"))


def _details(data: bytes) -> dict[str, Any]:
    """Return the details of a `Status` object, or an empty mapping."""
    try:
        details = json.loads(data)["details"]
    except (ValueError, KeyError, TypeError):
        return {}
    return details if isinstance(details, dict) else {}
