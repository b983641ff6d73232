"""Sends notifications in the background, so that no cycle waits for a channel and its retries for long.

A channel may take many seconds for each notification. The caller of `send` is told that the notification is under way,
and gets the result when it sends the same one again, in the next cycle. So one process sends none twice.
What failed is sent again by a retry of the caller, in a later cycle.
"""

import asyncio
from collections import OrderedDict, defaultdict
from typing import Final

from forestall.engine.settings import DELIVERY_WAIT
from forestall.errors import NotSent
from forestall.ports import Notice, Notifier

SENDING: Final = "Sending"
"""The reason of a notification whose delivery is under way."""
_LIMIT: Final = 30.0
"""How long (s) a delivery may take, with all attempts."""
_AT_ONCE: Final = 8
_AT_ONCE_BY_CHANNEL: Final = 2
"""How many deliveries of one channel run at once, so that a channel that hangs leaves room for others."""
_MOST: Final = 200
"""How many deliveries may run or wait."""
_REMEMBERED: Final = 1000
"""How many results of deliveries are remembered."""

_Key = tuple[str, str]
"""Channel, and id of the notice."""


class DeliveryTracker:
    """Wraps a `Notifier`, and remembers the result of the last delivery by each channel. It owns the tasks that
    send.
    """

    def __init__(self, notifier: Notifier, wait: float = DELIVERY_WAIT) -> None:
        """``wait``: how long (s) the first call waits for the delivery of a notification; later calls do not wait."""
        self._notifier = notifier
        self._wait = wait
        self._last: dict[str, NotSent | None] = {}
        self._under_way: dict[_Key, asyncio.Task[None]] = {}
        self._ended: OrderedDict[_Key, Exception | None] = OrderedDict()
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._limits: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_AT_ONCE_BY_CHANNEL))

    async def send(self, channel: str, notice: Notice) -> None:
        """Send `notice`, or return the result of the delivery that an earlier call began.

        Raises:
            NotSent: as in the port; with the reason `Sending` while the delivery is under way.
        """
        key = (channel, notice.id)
        task = self._under_way.get(key)
        if task is None and key not in self._ended:
            task = self._start(key, notice)
            await asyncio.wait((task,), timeout=0.0 if self._is_slow(key) else self._wait)
        if task is not None and not task.done():
            raise NotSent("Sending", f"it is on its way by channel {channel}, which has not answered yet")
        failure = self._ended.get(key)
        if failure is not None:
            del self._ended[key]  # the next call sends it again
            raise failure

    def was_used(self, channel: str) -> bool:
        """Say whether this process has sent anything by the channel."""
        return channel in self._last

    def was_sent(self, channel: str, notice_id: str) -> bool:
        """Say whether the channel is remembered to have delivered the notice."""
        return (channel, notice_id) in self._ended and self._ended[channel, notice_id] is None

    def trouble(self, channel: str) -> NotSent | None:
        """Return why the last delivery failed; None where it succeeded."""
        return self._last.get(channel)

    async def close(self) -> None:
        """Cancel the deliveries under way; whether they were delivered is unknown."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, key: _Key, notice: Notice) -> "asyncio.Task[None]":
        if len(self._under_way) >= _MOST:
            raise NotSent("Sending", f"{_MOST} notifications are on their way: this one is sent later")
        task = self._under_way[key] = asyncio.create_task(self._deliver(key, notice))
        return task

    def _is_slow(self, key: _Key) -> bool:
        """Say whether another delivery by this channel is under way, which this one would wait for."""
        return any(other != key and other[0] == key[0] for other in self._under_way)

    async def _deliver(self, key: _Key, notice: Notice) -> None:
        channel = key[0]
        failure: Exception | None = None
        try:
            async with self._limits[channel], self._limit, asyncio.timeout(_LIMIT):
                await self._notifier.send(channel, notice)
        except NotSent as error:
            failure = self._last[channel] = error
        except TimeoutError:
            failure = self._last[channel] = NotSent("ChannelTimeout", f"channel {channel} took more than {_LIMIT:g} s")
        except Exception as error:  # noqa: BLE001 -- it is raised where the sending is asked about
            failure = error
        else:
            self._last[channel] = None
        finally:
            self._under_way.pop(key, None)
        self._ended[key] = failure
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
