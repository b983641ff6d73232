"""One source: its connections, its threads, and its records of queries."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import structlog
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_before_delay, wait_random_exponential

from forestall.adapters.prometheus.config import SourceConfig
from forestall.adapters.prometheus.connection import THREADS, Connection
from forestall.adapters.prometheus.errors import QueryTrouble, SourceTrouble, failure
from forestall.adapters.prometheus.failed_queries import FailedQueries
from forestall.adapters.prometheus.lateness import Lateness
from forestall.adapters.prometheus.namespace_quota import ExpensiveOwners, UsageMeter
from forestall.adapters.prometheus.query_run import QueryRun, SourceState
from forestall.adapters.prometheus.question import Outcome, Question, RequestLimits
from forestall.adapters.prometheus.responses import Payload
from forestall.adapters.threads import Threads, ThreadsClosed, TooManyHang
from forestall.core.clock_skew import ClockOffset

_log = structlog.get_logger(__name__)

_ATTEMPTS = 3
_BACKOFF = wait_random_exponential(multiplier=0.2, max=2.0)
_LEAST_S = 0.1
_GRACE_S = 1.0
_GRACE = 0.25
"""By this share of its timeout, and by no more than `_GRACE_S`, a thread may be late before it is abandoned."""

Request = Callable[[Connection, str, int, float], Payload]
"""A function that evaluates an expression on a connection, with limits for series and seconds."""


def _no_time() -> SourceTrouble:
    return SourceTrouble("SourceTimeout", "there was no time left to ask in this cycle")


class Source:
    """Returns the outcomes of questions, including failures; raises nothing.

    `on_request` is called for each request, `on_failure` with the reason of each one that failed.
    """

    def __init__(
        self, name: str, config: SourceConfig, on_request: Callable[[], None], on_failure: Callable[[str], None]
    ) -> None:
        self.config = config
        self._name = name
        self._on_request = on_request
        self._on_failure = on_failure
        self._connection: Connection | None = None
        self._threads = Threads(THREADS, f"source-{name}")
        self._lateness = Lateness(self._threads)
        self._state = SourceState(FailedQueries(), ExpensiveOwners())
        self._attempts = _ATTEMPTS
        self.clock: ClockOffset | None = None
        """The offset of the source's clock from `time.monotonic()`, as exact as the responses since the last reset
        allow.
        """

    def meter(self) -> UsageMeter:
        """Return a meter for the shares of one cycle."""
        return UsageMeter(self.config.share)

    def close(self) -> None:
        """Close the connections; requests under way end by themselves."""
        self._threads.close()
        if self._connection is not None:
            self._connection.close()

    async def ask(
        self,
        questions: Iterable[Question],
        request: Request,
        pace: RequestLimits,
        deadline: float,
        meter: UsageMeter | None = None,
    ) -> Mapping[str, Outcome]:
        """Return the outcome of each question, by expression, until about `deadline` (s, monotonic).

        Questions for values have a `meter`, which continues from earlier ones of the same cycle. Only they decide
        whether the source is late: where history takes too long, present values may still arrive in time.
        """
        questions = list(questions)
        try:
            connection = self._connection = self._connection or Connection(self.config.endpoint)
        except SourceTrouble as trouble:
            return {question.text: failure(trouble) for question in questions}

        late = await self._lateness.why_not(connection, min(self.config.endpoint.timeout, deadline - time.monotonic()))
        if late is not None:
            return {question.text: failure(late) for question in questions}
        # Whatever one request takes, there is time left to find out which of its queries it was.
        patience = min(self.config.endpoint.timeout, (deadline - time.monotonic()) / 2)

        async def send(expr: str, limit: int) -> Payload:
            work = partial(request, connection, expr, limit)
            return await self._retrying(deadline)(self._once, work, patience, deadline)

        inquiry = QueryRun(send, self._state, pace, deadline, meter or self.meter())
        outcomes = await inquiry.ask(questions)
        # While a source is down, one request a cycle finds out whether it still is.
        self._attempts = _ATTEMPTS if inquiry.down is None else 1
        if meter is not None:
            self._lateness.note(inquiry.down, answered=inquiry.answered)
        return outcomes

    def _retrying(self, deadline: float) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, SourceTrouble) and error.transient),
            stop=stop_after_attempt(self._attempts) | stop_before_delay(max(0.0, deadline - time.monotonic())),
            wait=_BACKOFF,
            reraise=True,
        )

    async def _once(self, work: Callable[[float], Payload], patience: float, deadline: float) -> Payload:
        timeout = min(patience, deadline - time.monotonic())
        if timeout < _LEAST_S:
            raise _no_time()
        self._on_request()
        try:
            payload = await self._in_thread(work, timeout)
            if payload.clock is not None:
                self.clock = payload.clock.narrower(self.clock)
            return payload
        except (SourceTrouble, QueryTrouble) as trouble:
            self._on_failure(trouble.reason)
            if trouble.may_overload and timeout < patience:
                raise _no_time() from trouble  # with more time it might have done
            raise

    async def _in_thread(self, work: Callable[[float], Payload], seconds: float) -> Payload:
        # The thread minds the timeout too, but for the name's resolution, which nothing can end, and for a server that
        # sends its headers byte by byte.
        try:
            async with asyncio.timeout(seconds + min(_GRACE_S, _GRACE * seconds)):
                return await self._threads.run(partial(work, seconds))
        except TimeoutError as error:
            raise SourceTrouble("SourceTimeout", "the source did not answer in time", may_overload=True) from error
        except TooManyHang as error:
            message = f"{THREADS} requests to the source hang, most likely while its name is resolved"
            raise SourceTrouble("SourceTimeout", message) from error
        except ThreadsClosed as error:
            raise SourceTrouble("SourceMissing", "the source was removed or changed meanwhile") from error
        except (SourceTrouble, QueryTrouble):
            raise
        except Exception as error:  # one source's answer must not end everybody's cycle
            _log.exception("answer not read", source=self._name)
            message = f"the source's answer could not be read ({type(error).__name__})"
            raise SourceTrouble("SourceBadAnswer", message, ambiguous=True) from error
