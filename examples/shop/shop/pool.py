"""Worker slots: each Ready pod brings some, requests wait for a free one in a single queue."""

import asyncio
from collections import deque
from dataclasses import dataclass, field


class QueueFull(Exception):
    """So many requests wait already that this one is turned away at once."""


class QueueTimeout(Exception):
    """No slot became free in time."""


class PodDied(Exception):
    """The pod that worked on the request was killed."""


@dataclass(eq=False, slots=True)
class Pod:
    """A pod that serves. `broken` pods take requests and fail them."""

    name: str
    node: str = ""
    slots: int = 4
    broken: bool = False
    dead: bool = False
    busy: set["Lease"] = field(default_factory=set)

    @property
    def free(self) -> int:
        """How many of its slots can take a request now."""
        return 0 if self.dead else self.slots - len(self.busy)


@dataclass(eq=False, slots=True)
class Lease:
    """One slot of `pod` while it works on one request."""

    pod: Pod
    done: asyncio.Future[None]

    async def work(self, seconds: float) -> None:
        """Hold the slot for `seconds`, without using the processor. Raises PodDied when the pod is killed meanwhile."""
        timer = self.done.get_loop().call_later(seconds, self._finish)
        try:
            await self.done
        finally:
            timer.cancel()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Pool:
    """The slots of all pods, and the requests that wait for one, first come, first served."""

    def __init__(self, longest_queue: int, patience: float) -> None:
        """Turn requests away when `longest_queue` wait already, and give one up after `patience` seconds."""
        self._longest = longest_queue
        self._patience = patience
        self._waiting: deque[asyncio.Future[Lease]] = deque()
        self.pods: dict[str, Pod] = {}

    @property
    def slots(self) -> int:
        """How many slots there are, busy or free."""
        return sum(pod.slots for pod in self.pods.values() if not pod.dead)

    @property
    def busy(self) -> int:
        """How many slots work."""
        return sum(len(pod.busy) for pod in self.pods.values())

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return sum(not waiter.done() for waiter in self._waiting)

    def add(self, pod: Pod) -> None:
        """Let a pod serve."""
        self.pods[pod.name] = pod
        self._hand_out()

    def retire(self, name: str) -> None:
        """Give a pod no more requests; those that it works on are finished, as a pod does that ends gracefully."""
        self.pods.pop(name, None)

    def kill(self, pod: Pod) -> None:
        """End a pod's process: the requests that it works on fail, and it has no slots until it is revived."""
        pod.dead = True
        for lease in tuple(pod.busy):
            if not lease.done.done():
                lease.done.set_exception(PodDied(pod.name))

    def revive(self, pod: Pod) -> None:
        """Let a pod that was killed serve again."""
        pod.dead = False
        self._hand_out()

    async def acquire(self) -> Lease:
        """Return a slot, after waiting in the queue if need be. Raises QueueFull or QueueTimeout."""
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
            # The slot may have been given in the same turn of the loop in which the client went away.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise
        finally:
            timer.cancel()

    def release(self, lease: Lease) -> None:
        """Give a slot back."""
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
        # The pod with the most free slots, as a load balancer by least connections would choose.
        pod = max(self.pods.values(), key=lambda each: each.free, default=None)
        if pod is None or pod.free <= 0:
            return None
        lease = Lease(pod, asyncio.get_running_loop().create_future())
        pod.busy.add(lease)
        return lease


def _give_up(waiter: asyncio.Future[Lease]) -> None:
    if not waiter.done():
        waiter.set_exception(QueueTimeout())
