"""Threads for calls that may hang, such as the resolution of a name: limited in number, and not awaited when the
process ends.

Calls that hang would use up a shared pool, and all other work would wait. So each owner has its own threads.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from forestall.errors import ForestallError

T = TypeVar("T")

_QUEUED: Final = 64
"""How many calls may wait for a thread at once."""


class TooManyHang(ForestallError):
    """All threads are occupied by calls that hang, and many calls wait already."""


class ThreadsClosed(ForestallError):
    """The owner of these threads has closed them."""


@dataclass(slots=True)
class _Call:
    function: Callable[[], Any]
    future: Future[Any]


class Threads:
    """Runs a limited number of calls at once. All its methods must be called in the event loop's thread."""

    def __init__(self, max_threads: int, name: str) -> None:
        self._max_threads = max_threads
        self._name = name
        self._changed = threading.Condition()
        self._waiting: deque[_Call] = deque()
        self._running = 0
        self._idle = 0
        self._closed = False

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Run `function` in a thread; where none is free it waits, and can be cancelled until it begins.

        Raises:
            TooManyHang: too many calls wait already.
            ThreadsClosed: the threads were closed.
        """
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise ThreadsClosed(self._name)
            self._waiting = deque(call for call in self._waiting if not call.future.cancelled())
            if len(self._waiting) >= _QUEUED:
                raise TooManyHang(self._name)
            self._waiting.append(_Call(function, future))
            if len(self._waiting) > self._idle and self._running < self._max_threads:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
                self._running += 1
            self._changed.notify()
        return future

    async def run(self, function: Callable[[], T]) -> T:
        """Return the result of `function`; after a cancellation it is not awaited, and its result is dropped.

        Raises:
            TooManyHang, ThreadsClosed: as `submit`; and any exception of `function`.
        """
        return await asyncio.wrap_future(self.submit(function))

    def close(self) -> None:
        """Begin no more calls; calls that run end by themselves, and are not awaited."""
        with self._changed:
            self._closed = True
            for call in self._waiting:
                if call.future.set_running_or_notify_cancel():
                    call.future.set_exception(ThreadsClosed(self._name))
            self._waiting.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            if not call.future.set_running_or_notify_cancel():
                continue
            try:
                result = call.function()
            except BaseException as error:  # noqa: BLE001 -- it is raised where the result is waited for
                call.future.set_exception(error)
            else:
                call.future.set_result(result)

    def _next(self) -> _Call | None:
        with self._changed:
            self._idle += 1
            try:
                while not self._waiting and not self._closed:
                    self._changed.wait()
            finally:
                self._idle -= 1
            if self._waiting:
                return self._waiting.popleft()
            self._running -= 1
            return None
