"""One source: its connections, its threads, and what is remembered of its queries."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_before_delay, wait_random_exponential

from forestall.adapters.prometheus.answers import Payload
from forestall.adapters.prometheus.asking import Inquiry, Outcome, Pace, Question
from forestall.adapters.prometheus.config import SourceConfig
from forestall.adapters.prometheus.connection import THREADS, Connection
from forestall.adapters.prometheus.memory import Memory
from forestall.adapters.prometheus.trouble import SourceTrouble, failure
from forestall.errors import MetricsError

_ATTEMPTS = 3
_LEAST_S = 0.1
_GRACE_S = 1.0

Request = Callable[[Connection, str, int, float], Payload]
"""Asks a connection for an expression: at most so many series, within so many seconds."""


class Source:
    """Answers questions, or says why not; raises nothing.

    `on_request` is told of each request, `on_failure` the reason of each one that failed.
    """

    def __init__(
        self, name: str, config: SourceConfig, on_request: Callable[[], None], on_failure: Callable[[str], None]
    ) -> None:
        self.config = config
        self._on_request = on_request
        self._on_failure = on_failure
        self._connection: Connection | None = None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"source-{name}")
        self._memory = Memory()
        self._attempts = _ATTEMPTS

    def close(self) -> None:
        """Close the connections; requests under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._connection is not None:
            self._connection.close()

    async def ask(
        self, questions: Iterable[Question], request: Request, pace: Pace, deadline: float
    ) -> Mapping[str, Outcome]:
        """Return the outcome of each question, by its text, at about `deadline` (s, monotonic) at the latest."""
        questions = list(questions)
        try:
            connection = self._connection = self._connection or Connection(self.config)
        except SourceTrouble as trouble:
            return {question.text: failure(trouble) for question in questions}

        async def send(expr: str, limit: int) -> Payload:
            return await self._retrying(deadline)(self._once, connection, request, expr, limit, deadline)

        inquiry = Inquiry(send, self._memory, pace, deadline)
        outcomes = await inquiry.ask(questions)
        # While a source is down, one request a cycle finds out whether it still is.
        self._attempts = _ATTEMPTS if inquiry.down is None else 1
        return outcomes

    def _retrying(self, deadline: float) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, SourceTrouble) and error.passing),
            stop=stop_after_attempt(self._attempts) | stop_before_delay(max(0.0, deadline - time.monotonic())),
            wait=wait_random_exponential(multiplier=0.2, max=2.0),
            reraise=True,
        )

    async def _once(self, connection: Connection, request: Request, expr: str, limit: int, deadline: float) -> Payload:
        timeout = min(self.config.timeout, deadline - time.monotonic())
        if timeout < _LEAST_S:
            raise SourceTrouble("SourceTimeout", "there was no time left to ask in this cycle")
        self._on_request()
        work = asyncio.get_running_loop().run_in_executor(self._threads, request, connection, expr, limit, timeout)
        try:
            # The thread minds the timeout too; only a server that sends its headers byte by byte can outlast it.
            return await asyncio.wait_for(work, timeout + _GRACE_S)
        except TimeoutError as error:
            self._on_failure("SourceTimeout")
            raise SourceTrouble("SourceTimeout", "the source did not finish its answer in time") from error
        except MetricsError as trouble:
            self._on_failure(trouble.reason)
            raise
