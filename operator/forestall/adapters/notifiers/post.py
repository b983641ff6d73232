"""One message to one endpoint: bounded in time and size, nothing followed, nothing taken from the environment."""

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)
from yarl import URL

from forestall import __version__
from forestall.adapters.notifiers.formats import Content
from forestall.errors import NotSent

BUDGET: Final = 12.0
"""The most seconds that all attempts may take together."""
ATTEMPTS: Final = 3
LARGEST: Final = 1 << 16
"""So many bytes of an answer are read; nobody looks at them."""
_PASSING: Final = frozenset({408, 425, 429})
_BACKOFF: Final = wait_random_exponential(multiplier=0.3, max=3.0)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a message goes. Its URL and credentials are secret: they are in no message and no log."""

    name: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    bearer_token: str | None = field(default=None, repr=False)
    ca_pem: str | None = field(default=None, repr=False)
    insecure_skip_verify: bool = False
    timeout: float = 5.0


class _Trouble(NotSent):
    """Why one attempt failed, and whether another may do better."""

    def __init__(self, reason: str, message: str, *, passing: bool = False, wait: float | None = None) -> None:
        super().__init__(reason, message)
        self.passing = passing
        self.wait = wait


async def post(endpoint: Endpoint, content: Content) -> None:
    """Send `content` to `endpoint`, a few times where it fails in passing.

    Raises:
        NotSent: it did not arrive, or it is not known whether it did.
    """
    url, context = _url(endpoint, content), _tls(endpoint)
    retrying = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, _Trouble) and error.passing),
        stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(BUDGET - endpoint.timeout),
        wait=_wait,
        reraise=True,
    )
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=endpoint.timeout),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        await retrying(_once, session, url, endpoint, content)


async def _once(session: aiohttp.ClientSession, url: URL, endpoint: Endpoint, content: Content) -> None:
    name = endpoint.name
    try:
        async with session.post(
            url, data=content.body, headers=_headers(endpoint, content), allow_redirects=False
        ) as answer:
            await answer.content.read(LARGEST)
            _judge(name, answer.status, answer.headers.get("Retry-After", ""))
    except TimeoutError as error:
        message = f"channel {name} did not answer within {endpoint.timeout:g} s"
        raise _Trouble("ChannelTimeout", message, passing=True) from error
    except (aiohttp.InvalidURL, ValueError) as error:  # their words may hold a credential
        raise _unfit(name) from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
        raise _Trouble("ChannelDown", f"no TLS connection to channel {name}: its certificate is not trusted") from error
    except (aiohttp.ClientError, OSError) as error:
        message = f"no connection to channel {name} ({type(error).__name__})"
        raise _Trouble("ChannelDown", message, passing=True) from error


def _headers(endpoint: Endpoint, content: Content) -> dict[str, str]:
    headers = {
        **endpoint.headers,
        **content.headers,
        "Content-Type": content.content_type,
        "User-Agent": f"forestall/{__version__}",
    }
    if endpoint.bearer_token is not None:
        headers["Authorization"] = f"Bearer {endpoint.bearer_token.strip()}"
    if endpoint.basic is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(':'.join(endpoint.basic).encode()).decode()}"
    if not all(value.isprintable() for value in headers.values()):
        raise _unfit(endpoint.name)
    return headers


def _unfit(name: str) -> _Trouble:
    words = f"channel {name} can't be asked: its url, headers or credentials are not what HTTP allows"
    return _Trouble("ChannelRefused", words)


def _judge(name: str, status: int, retry_after: str) -> None:
    if 200 <= status <= 299:
        return
    if 300 <= status <= 399:
        raise _Trouble("ChannelRefused", f"channel {name} answered {status}: redirects are not followed")
    passing = status in _PASSING or status >= 500
    wait = float(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else None
    raise _Trouble("ChannelRefused", f"channel {name} answered {status}", passing=passing, wait=wait)


def _wait(state: RetryCallState) -> float:
    """Return how long to wait (s): as the server says, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    told = error.wait if isinstance(error, _Trouble) else None
    return _BACKOFF(state) if told is None else told


def _url(endpoint: Endpoint, content: Content) -> URL:
    try:
        url = URL(endpoint.url.strip())
    except ValueError as error:
        raise NotSent("ChannelRefused", f"the url of channel {endpoint.name} is not one") from error
    if url.scheme not in ("http", "https") or not url.host or url.user is not None or url.password is not None:
        words = f"the url of channel {endpoint.name} must begin with http:// or https:// and hold no credentials"
        raise NotSent("ChannelRefused", words)
    return url.with_path(url.path.rstrip("/") + content.path) if content.path else url


def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=endpoint.ca_pem)
    except (ssl.SSLError, ValueError) as error:
        words = f"the certificate authority of channel {endpoint.name} is not PEM"
        raise NotSent("ChannelRefused", words) from error
    if endpoint.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
