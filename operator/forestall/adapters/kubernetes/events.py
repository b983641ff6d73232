"""Records Kubernetes Events, which `kubectl describe` shows.

A repeated event of an object increases the count of one Event. Each object has a rate limit. Failures are ignored:
Events are for people, and the operator does not read them.
"""

import asyncio
import contextlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog

from forestall.adapters.kubernetes.api import MERGE_PATCH, Api, segment
from forestall.core.rfc3339 import write_time
from forestall.errors import ClusterError, NotFound
from forestall.ports import Event

SAME_WITHIN = 600.0
"""For how many seconds after its last occurrence an event counts as a repetition."""
BURST, REFILL = 10, 60.0
"""The rate limit of one object: how many requests at once, and seconds until one more is allowed."""
REMEMBERED = 4096
"""How many series of events, and how many rate limits of objects, are remembered."""
WAITING = 1000
"""How many events wait for the API server before further ones are dropped."""
CLOSING = 2.0
"""How many seconds the operator takes at its end to post the waiting events."""
MESSAGE = 1024
"""The longest message (characters) that the API server accepts."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Series:
    """One Event object and its count."""

    path: str
    count: int
    last: float


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float

    def take(self, now: float) -> bool:
        self.tokens = min(BURST, self.tokens + (now - self.filled) / REFILL)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Recorder:
    """Posts events in the background; an asynchronous context manager that posts the waiting ones when it ends."""

    def __init__(
        self,
        api: Api,
        instance: str,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`instance` identifies this process: the name of its pod."""
        self._api = api
        self._instance = instance
        self._monotonic = monotonic
        self._wall = wall
        self._queue: asyncio.Queue[Event] = asyncio.Queue(WAITING)
        self._series: OrderedDict[tuple[str, ...], _Series] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start posting."""
        self._worker = asyncio.create_task(self._work(), name="events")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Post the waiting events for at most `CLOSING` seconds, and stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), CLOSING)
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait((self._worker,))

    def record(self, event: Event) -> None:
        """Queue the event; it is dropped when too many wait."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            _log.debug("event dropped", why="too many wait", reason=event.reason, object=event.regarding.name)

    async def _work(self) -> None:
        while True:
            event = await self._queue.get()
            try:
                await self.post(event)
            except ClusterError as error:
                _log.warning("event not posted", reason=event.reason, object=event.regarding.name, error=str(error))
            except Exception:  # noqa: BLE001 -- logged; the events that wait have nothing to do with this one
                _log.exception("event not posted", reason=event.reason, object=event.regarding.name)
            finally:
                self._queue.task_done()

    async def post(self, event: Event) -> None:
        """Post the event now, or increase the count of the one that was posted before.

        Raises:
            ClusterError: the API server refused it, or was not reached.
        """
        now = self._monotonic()
        key = _key(event)
        series = self._series.get(key)
        if series is not None and now - series.last > SAME_WITHIN:
            series = None
        if series is not None:
            series.count, series.last = series.count + 1, now
            self._series.move_to_end(key)
        if not self._may_post(event, now):
            return
        if series is not None:
            with contextlib.suppress(NotFound):  # its time to live was over: it begins anew
                await self._api.request(
                    "PATCH", series.path, body=self._repeated(event, series.count), content_type=MERGE_PATCH
                )
                return
        body = self._first(event)
        namespace = segment(body["metadata"]["namespace"])
        path = f"/api/v1/namespaces/{namespace}/events"
        await self._api.request("POST", path, body=body)
        self._series[key] = _Series(f"{path}/{segment(body['metadata']['name'])}", 1, now)
        _forget_oldest(self._series)

    def _may_post(self, event: Event, now: float) -> bool:
        subject = event.regarding.uid or f"{event.regarding.kind}/{event.regarding.namespace}/{event.regarding.name}"
        bucket = self._buckets.setdefault(subject, _Bucket(BURST, now))
        self._buckets.move_to_end(subject)
        _forget_oldest(self._buckets)
        return bucket.take(now)

    def _first(self, event: Event) -> dict[str, Any]:
        at = self._now()
        regarding = event.regarding
        # names follow the custom of other components: the object's name, and what makes it unique
        name = f"{regarding.name[:200].rstrip('-.')}.{uuid.uuid4().hex[:16]}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            # Events about objects without a namespace live in `default`
            "metadata": {"name": name, "namespace": regarding.namespace or "default"},
            "involvedObject": regarding.dump(),
            "type": event.kind,
            "reason": event.reason,
            "message": event.message[:MESSAGE],
            "action": event.action or event.reason,
            "source": {"component": "forestall"},
            "reportingComponent": "forestall.dev/operator",
            "reportingInstance": self._instance[:128],
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }

    def _repeated(self, event: Event, count: int) -> dict[str, Any]:
        return {"count": count, "lastTimestamp": self._now(), "message": event.message[:MESSAGE]}

    def _now(self) -> str:
        return write_time(self._wall(), "seconds")


def _key(event: Event) -> tuple[str, ...]:
    """Return the key by which two events are the same; the message is not part of it, because its numbers change."""
    regarding = event.regarding
    return (regarding.uid, regarding.kind, regarding.namespace, regarding.name, event.kind, event.reason, event.action)


def _forget_oldest(remembered: OrderedDict[Any, Any]) -> None:
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)
