"""Worker slots of the ready pods; requests wait for a free slot in a single queue."""

import asyncio
from collections import deque
from dataclasses import dataclass, field


class QueueFull(Exception):
    """The queue is full, so the request is rejected at once."""


class QueueTimeout(Exception):
    """No slot became free in time."""


class PodDied(Exception):
    """The pod of the request was killed."""


@dataclass(eq=False, slots=True)
class Pod:
    """A serving pod. `broken` pods accept requests and fail them."""

    name: str
    node: str = ""
    slots: int = 4
    broken: bool = False
    dead: bool = False
    busy: set["Lease"] = field(default_factory=set)

    @property
    def free(self) -> int:
        """Number of free slots."""
        return 0 if self.dead else self.slots - len(self.busy)


@dataclass(eq=False, slots=True)
class Lease:
    """One slot of `pod` for the time of a request."""

    pod: Pod
    finished: asyncio.Future[None]

    async def work(self, seconds: float) -> None:
        """Hold the slot for `seconds` without using CPU. Raises PodDied when the pod is killed meanwhile."""
        timer = self.finished.get_loop().call_later(seconds, self._finish)
        try:
            await self.finished
        finally:
            timer.cancel()

    def _finish(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


class Pool:
    """The slots of all pods, and a first-in, first-out queue of requests."""

    def __init__(self, longest_queue: int, patience: float) -> None:
        """Reject requests when `longest_queue` wait already, and time out after `patience` seconds."""
        self._longest = longest_queue
        self._patience = patience
        self._waiting: deque[asyncio.Future[Lease]] = deque()
        self.pods: dict[str, Pod] = {}

    @property
    def slots(self) -> int:
        """Number of slots, busy or free."""
        return sum(pod.slots for pod in self.pods.values() if not pod.dead)

    @property
    def busy(self) -> int:
        """Number of busy slots."""
        return sum(len(pod.busy) for pod in self.pods.values())

    @property
    def queued(self) -> int:
        """Number of waiting requests."""
        return sum(not waiter.done() for waiter in self._waiting)

    def add(self, pod: Pod) -> None:
        """Add a serving pod."""
        self.pods[pod.name] = pod
        self._hand_out()

    def retire(self, name: str) -> None:
        """Send a pod no more requests; those in progress finish, as in a graceful shutdown."""
        self.pods.pop(name, None)

    def kill(self, pod: Pod) -> None:
        """Kill a pod's process: its requests fail, and it has no slots until it is revived."""
        pod.dead = True
        for lease in tuple(pod.busy):
            if not lease.finished.done():
                lease.finished.set_exception(PodDied(pod.name))

    def revive(self, pod: Pod) -> None:
        """Let a killed pod serve again."""
        pod.dead = False
        self._hand_out()

    async def acquire(self) -> Lease:
        """Return a slot, waiting in the queue where none is free. Raises QueueFull or QueueTimeout."""
        if not self._waiting and (lease := self._take()):
            return lease
        if self.queued >= self._longest:
            raise QueueFull
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Lease] = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_later(self._patience, _give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # The slot may have been assigned in the same iteration of the loop in which the client disconnected.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise
        finally:
            timer.cancel()

    def release(self, lease: Lease) -> None:
        """Release a slot."""
        lease.pod.busy.discard(lease)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
            elif lease := self._take():
                self._waiting.popleft().set_result(lease)
            else:
                return

    def _take(self) -> Lease | None:
        # The pod with the most free slots, like a load balancer by least connections.
        pod = max(self.pods.values(), key=lambda pod: pod.free, default=None)
        if pod is None or pod.free <= 0:
            return None
        lease = Lease(pod, asyncio.get_running_loop().create_future())
        pod.busy.add(lease)
        return lease


def _give_up(waiter: asyncio.Future[Lease]) -> None:
    if not waiter.done():
        waiter.set_exception(QueueTimeout())
