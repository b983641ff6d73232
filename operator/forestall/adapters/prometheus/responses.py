"""Reads the response of a source, and raises errors for what is wrong with it.

Source: the format and the status codes of the Prometheus HTTP API.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from forestall.adapters.prometheus.document import malformed, read
from forestall.adapters.prometheus.errors import QueryTrouble, SourceTrouble, shortened
from forestall.adapters.prometheus.refusals import WarningKind, note_of, refusal_of
from forestall.core.clock_skew import ClockOffset

IS_PARTIAL: Final = "the source says that its answer is partial (isPartial)"
_MOST_NOTES: Final = 10
_HEAD: Final = 200


@dataclass(frozen=True, slots=True)
class Payload:
    """The series of a response, as parsed, and the source's warnings that are more than hints."""

    series: list[Any]
    """That each is an object is not checked yet."""
    warnings: tuple[str, ...] = ()
    about_one: bool = False
    """Whether a warning is about one of the queries, although not about which one."""
    size: int = 0
    """The size of the response (bytes)."""
    clock: ClockOffset | None = None
    """The offset of the source's clock from `time.monotonic()`."""


def read_payload(status: int, content_type: str, location: str, body: bytes) -> Payload:
    """Return the payload of a response.

    Raises:
        SourceTrouble: this is no response of a working Prometheus API.
        QueryTrouble: the source refuses the request.
    """
    if 300 <= status < 400:
        _refuse_redirect(status, location)
    document = read(body)
    if status != HTTPStatus.OK or (document is not None and document.get("status") == "error"):
        _refuse(status, content_type, document, body)
    if document is None:
        kind = content_type.partition(";")[0] or "something without a type"
        raise SourceTrouble(
            "SourceBadAnswer", f"the source does not answer with JSON but with {kind}: check its url", ambiguous=True
        )
    return _payload(document)


def too_large(head: bytes, limit: int) -> SourceTrouble | QueryTrouble:
    """Return the error for a response of more than `limit` bytes; `head` is its beginning."""
    if b'"resultType"' in head:
        return QueryTrouble("TooManySeries", f"the answer is larger than {limit >> 20} MiB: ask for fewer series")
    return SourceTrouble("SourceBadAnswer", f"the source answers with more than {limit >> 20} MiB: check its url")


def check_count(body: bytes, limit: int) -> None:
    """Raise an error for a response with far more series than requested, before it is parsed: older sources ignore the
    limit.

    Raises:
        QueryTrouble: the response has more than `limit` series.
    """
    # A label may be called like this, too.
    if body.count(b'"metric":') > 2 * limit:
        raise QueryTrouble("TooManySeries", f"the query returns more than {limit} series")


def _payload(document: dict[str, Any]) -> Payload:
    data = document.get("data")
    series = data.get("result") if isinstance(data, dict) else None
    if document.get("status") != "success" or not isinstance(data, dict) or not isinstance(series, list):
        raise malformed()
    if data.get("resultType") not in ("vector", "matrix"):
        kind = shortened(str(data.get("resultType")))
        raise SourceTrouble("SourceBadAnswer", f"the source answers with a {kind}", ambiguous=True)
    notes = [(text, note_of(text)) for text in _texts(document.get("warnings"))]
    warning_texts = [shortened(text) for text, note in notes if note is not WarningKind.HINT]
    if document.get("isPartial") not in (None, False):
        warning_texts.insert(0, IS_PARTIAL)
    if len(warning_texts) > _MOST_NOTES:
        warning_texts = [*warning_texts[:_MOST_NOTES], f"and {len(warning_texts) - _MOST_NOTES} more"]
    return Payload(series, tuple(warning_texts), any(note is WarningKind.ABOUT_ONE for _, note in notes))


def _texts(warnings: Any) -> list[str]:
    """Return the warnings; a value that is no list counts as one warning."""
    if not warnings:
        return []
    return [str(warning) for warning in warnings] if isinstance(warnings, list) else [str(warnings)]


def _refuse_redirect(status: int, location: str) -> NoReturn:
    try:
        target = urlsplit(location)
        location_text = f"{target.scheme}://{target.hostname}" if target.hostname else "another path"
    except ValueError:
        location_text = "nowhere"
    raise SourceTrouble(
        "SourceBadAnswer",
        f"the source answers {_phrase(status)} to {location_text}: redirects are not followed, put the final "
        "address into url",
    )


def _refuse(status: int, content_type: str, document: dict[str, Any] | None, body: bytes) -> NoReturn:
    kind, text = _error_of(document) if document is not None else ("", _plain(content_type, body))
    row = refusal_of(status, kind, text)
    phrase = f"the source answers {_phrase(status)}"
    # What an API says of a query speaks for itself; what stands in its place needs its status.
    message = text if kind and text else f"{phrase}: {text}" if text else phrase
    if row is None and kind:
        reason = "QueryRefused" if status < 500 else "SourceBadAnswer"
        raise QueryTrouble(reason, message, may_overload=status >= 500, ambiguous=True)
    if row is None and status >= 500:
        raise SourceTrouble("SourceDown", message, transient=True, ambiguous=True, plain=phrase)
    if row is None:
        raise SourceTrouble("SourceBadAnswer", f"{message}: check its url", plain=f"{phrase}: check its url")
    if row.advice:
        message, phrase = f"{message}: {row.advice}", f"{phrase}: {row.advice}"
    if row.scope == "source":
        raise SourceTrouble(
            row.reason,
            message,
            transient=row.transient,
            may_overload=row.may_overload,
            ambiguous=row.ambiguous,
            plain=phrase,
        )
    raise QueryTrouble(
        row.reason, message, permanent=row.permanent, may_overload=row.may_overload, ambiguous=row.ambiguous
    )


def _error_of(document: dict[str, Any]) -> tuple[str, str]:
    """Return the type and the message of an error response: in the format of the Prometheus API, or in that of GMP and
    AMP.
    """
    kind, error = document.get("errorType"), document.get("error")
    if document.get("status") == "error":
        has_kind = isinstance(kind, str | int) and not isinstance(kind, bool) and kind != ""
        return str(kind) if has_kind else "none", shortened(str(error or ""))
    if isinstance(error, dict):
        return shortened(str(error.get("status") or "")), shortened(str(error.get("message") or ""))
    kind = str(document.get("__type") or "").rpartition("#")[2]
    return shortened(kind), shortened(str(document.get("message") or document.get("Message") or ""))


def _plain(content_type: str, body: bytes) -> str:
    """Return a short text that came instead of JSON."""
    if not content_type.startswith("text/plain"):
        return ""
    return " ".join(body[:_HEAD].decode(errors="replace").split())


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
