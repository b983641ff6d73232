"""Sends one message to one endpoint, with a retry after transient errors, with limits for time and size, without
redirects and without settings from the environment.
"""

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

from forestall.adapters.http import Endpoint, aiohttp_session
from forestall.adapters.notifiers.formats import Content
from forestall.errors import InvalidEndpoint, NotSent

BUDGET: Final = 12.0
"""The timeout (s) of all attempts together."""
ATTEMPTS: Final = 3
LARGEST: Final = 1 << 16
"""How many bytes of a response are read; they are not used."""
_TRANSIENT: Final = frozenset({408, 425, 429})
_BACKOFF: Final = wait_random_exponential(multiplier=0.3, max=3.0)


class _Trouble(NotSent):
    """Why one attempt failed, and whether another one may succeed."""

    def __init__(self, reason: str, message: str, *, transient: bool = False, wait: float | None = None) -> None:
        super().__init__(reason, message)
        self.transient = transient
        self.wait = wait


async def post(channel: str, endpoint: Endpoint, content: Content) -> None:
    """Send `content` to `endpoint`, which is that of `channel`; repeat it a few times after transient failures.

    Raises:
        NotSent: it was not delivered, or that is unknown.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, _Trouble) and error.transient),
        stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(BUDGET - endpoint.timeout),
        wait=_wait,
        reraise=True,
    )
    try:
        url = URL(endpoint.address_of(content.path) if content.path else endpoint.address())
        session = aiohttp_session(endpoint)
    except InvalidEndpoint as error:
        raise NotSent("ChannelRefused", f"channel {channel} can't be used: {error}") from error
    except ValueError as error:
        raise _unfit(channel) from error
    async with session:
        await retrying(_once, session, url, channel, content)


async def _once(session: aiohttp.ClientSession, url: URL, channel: str, content: Content) -> None:
    headers = {**content.headers, "Content-Type": content.content_type}
    try:
        async with session.post(url, data=content.body, headers=headers, allow_redirects=False) as answer:
            await answer.content.read(LARGEST)
            _judge(channel, answer.status, answer.headers.get("Retry-After", ""))
    except TimeoutError as error:
        message = f"channel {channel} did not answer within {session.timeout.total:g} s"
        raise _Trouble("ChannelTimeout", message, transient=True) from error
    except (aiohttp.InvalidURL, ValueError) as error:  # their words may hold a secret
        raise _unfit(channel) from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
        message = f"no TLS connection to channel {channel}: its certificate is not trusted"
        raise _Trouble("ChannelDown", message) from error
    except (aiohttp.ClientError, OSError) as error:
        message = f"no connection to channel {channel} ({type(error).__name__})"
        raise _Trouble("ChannelDown", message, transient=True) from error


def _unfit(channel: str) -> NotSent:
    return NotSent("ChannelRefused", f"channel {channel} can't be used: its url is not what HTTP allows")


def _judge(channel: str, status: int, retry_after: str) -> None:
    if 200 <= status <= 299:
        return
    if 300 <= status <= 399:
        raise _Trouble("ChannelRefused", f"channel {channel} answered {status}: redirects are not followed")
    transient = status in _TRANSIENT or status >= 500
    wait = float(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else None
    raise _Trouble("ChannelRefused", f"channel {channel} answered {status}", transient=transient, wait=wait)


def _wait(state: RetryCallState) -> float:
    """Return how long to wait (s): by the server's Retry-After, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.wait if isinstance(error, _Trouble) else None
    return _BACKOFF(state) if retry_after is None else retry_after
