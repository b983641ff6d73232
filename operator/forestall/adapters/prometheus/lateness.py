"""Detects a source that does not answer in time, and probes it in the background until it answers.

So a source that hangs delays one cycle, and the following ones hardly at all.
"""

import asyncio
import time
from concurrent.futures import Future
from functools import partial
from typing import Final

from forestall.adapters.prometheus.connection import Connection
from forestall.adapters.prometheus.errors import SourceTrouble
from forestall.adapters.prometheus.triage import CANARY
from forestall.adapters.threads import Threads, ThreadsClosed, TooManyHang

_SHORTLY: Final = 0.25
"""The share of a request's timeout for which a cycle waits for a late source to answer the probe."""
_SHORTLY_S: Final = 0.5
"""The longest wait (s) for the probe."""
_LEAST_S: Final = 0.1


class Lateness:
    """The lateness of one source. It has at most one probe under way, which runs in the source's threads."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._late: SourceTrouble | None = None
        self._probe: Future[bool] | None = None

    def note(self, down: SourceTrouble | None, *, answered: int) -> None:
        """Record the result of a call to the source: its trouble as a whole, and the number of answered queries."""
        self._late = None if answered or down is None or down.reason != "SourceTimeout" else down

    async def why_not(self, connection: Connection, seconds: float) -> SourceTrouble | None:
        """Return why the source is not queried now; None where it answers.

        A late source is probed first, with a timeout of `seconds`, but the caller waits only briefly for the result.
        """
        if self._late is None:
            return None
        if await self._answers(connection, max(_LEAST_S, seconds)):
            self._late = None
            return None
        message = f"{self._late.plain}; it is asked beside the cycles until it does"
        return SourceTrouble("SourceTimeout", message)

    async def _answers(self, connection: Connection, seconds: float) -> bool:
        """Say whether the source has answered the probe, which is sent again where it did not."""
        if self._probe is not None and (answered := self._take()) is not False:
            return bool(answered)
        try:
            self._probe = self._threads.submit(partial(_answers, connection, seconds))
        except (TooManyHang, ThreadsClosed):
            return False  # what hung still hangs
        waiting = asyncio.wrap_future(self._probe)
        waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # it is told by the probe
        await asyncio.wait((waiting,), timeout=min(_SHORTLY_S, _SHORTLY * seconds))
        return bool(self._take())

    def _take(self) -> bool | None:
        """Return the result of the probe and clear it; None while it is under way."""
        if self._probe is None or not self._probe.done():
            return None
        probe, self._probe = self._probe, None
        return _has_answered(probe)


def _has_answered(probe: Future[bool]) -> bool:
    """Return the result of a finished probe; False where its source was removed before it began."""
    try:
        return probe.result()
    except ThreadsClosed:
        return False


def _answers(connection: Connection, seconds: float) -> bool:
    """Say whether the source answers at all, even by refusing."""
    try:
        connection.instant(CANARY, time.time(), 1, seconds)
    except SourceTrouble as trouble:
        return trouble.reason != "SourceTimeout"
    except Exception:  # noqa: BLE001 -- it has answered, and those who ask it next tell what
        return True
    return True
