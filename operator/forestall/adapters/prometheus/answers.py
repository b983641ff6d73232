"""Read what a source answers, and say what is wrong with it.

Source: the format and the status codes of the Prometheus HTTP API.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import urlsplit

from forestall.adapters.prometheus.document import malformed, read
from forestall.adapters.prometheus.trouble import QueryTrouble, SourceTrouble

TRUNCATED = "results truncated due to limit"
"""Prometheus's warning that there were more series than were asked for."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The series of an answer, as they were read, and the source's warnings."""

    series: list[dict[str, Any]]
    warnings: tuple[str, ...] = ()
    size: int = 0
    """How many bytes the answer had."""


def read_payload(status: int, content_type: str, location: str, body: bytes) -> Payload:
    """Return the payload of an answer.

    Raises:
        SourceTrouble: this is no answer of a Prometheus API that works.
        QueryTrouble: the source refuses the request.
    """
    if 300 <= status < 400:
        _refuse_redirect(status, location)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise SourceTrouble("SourceUnauthorized", f"the source answers {_words(status)}: check its credentials")
    document = read(body)
    if document is not None and document.get("status") == "error":
        _refuse_as_told(document, status)
    if status != HTTPStatus.OK:
        _refuse_by_status(status)
    if document is None:
        kind = content_type.partition(";")[0] or "something without a type"
        raise SourceTrouble("SourceBadAnswer", f"the source does not answer with JSON but with {kind}: check its url")
    return _payload(document)


def too_large(head: bytes, limit: int) -> SourceTrouble | QueryTrouble:
    """Return what an answer of more than `limit` bytes means; `head` is how it begins."""
    if b'"resultType"' in head:
        return QueryTrouble("TooManySeries", f"the answer is larger than {limit >> 20} MiB: ask for fewer series")
    return SourceTrouble("SourceBadAnswer", f"the source answers with more than {limit >> 20} MiB: check its url")


def _payload(document: dict[str, Any]) -> Payload:
    data = document.get("data")
    series = data.get("result") if isinstance(data, dict) else None
    if document.get("status") != "success" or not isinstance(data, dict) or not isinstance(series, list):
        raise malformed()
    if data.get("resultType") not in ("vector", "matrix"):
        raise SourceTrouble("SourceBadAnswer", f"the source answers with a {data.get('resultType')}")
    warnings = document.get("warnings")
    texts = tuple(str(each) for each in warnings) if isinstance(warnings, list) else ()
    return Payload(series, texts)


def _refuse_redirect(status: int, location: str) -> NoReturn:
    try:
        target = urlsplit(location)
        where = f"{target.scheme}://{target.hostname}" if target.hostname else "another path"
    except ValueError:
        where = "nowhere"
    raise SourceTrouble(
        "SourceBadAnswer",
        f"the source answers {_words(status)} to {where}: redirects are not followed, put the final address into url",
    )


def _refuse_as_told(document: dict[str, Any], status: int) -> NoReturn:
    words = str(document.get("error") or _words(status))
    match document.get("errorType"):
        case "bad_data":
            raise QueryTrouble("QueryRefused", words, lasting=True)
        case "execution":
            raise QueryTrouble("QueryRefused", words)
        case "timeout" | "canceled":
            raise QueryTrouble("SourceTimeout", words, load=True)
        case "unavailable" | "too_many_requests":
            raise SourceTrouble("SourceDown", words, passing=True)
        case "not_found":
            raise SourceTrouble("SourceBadAnswer", words)
        case _ if status < 500:
            raise QueryTrouble("QueryRefused", words)
        case _:
            raise QueryTrouble("SourceBadAnswer", words, load=True)


def _refuse_by_status(status: int) -> NoReturn:
    words = f"the source answers {_words(status)}"
    if status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.BAD_REQUEST):
        raise QueryTrouble("QueryRefused", words)
    if status == HTTPStatus.GATEWAY_TIMEOUT:  # a proxy lost patience with this request
        raise QueryTrouble("SourceTimeout", words, load=True)
    if status >= 500 or status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT):
        raise SourceTrouble("SourceDown", words, passing=True)
    raise SourceTrouble("SourceBadAnswer", f"{words}: check its url")


def _words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
