"""Leader election by a Lease.

Two processes never write at once, because of these times on monotonic clocks: The leader renews every `retry` seconds
and may write until `renew_deadline` after its last successful renewal was *sent*. Another process may take over when it
has seen no renewal for `duration` after it *saw* the last one, which is later. A request ends within 4 s, and 10 s + 4
s < 15 s. Timestamps in the Lease are for people only.

Source of the protocol: client-go's `tools/leaderelection`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import structlog

from forestall.adapters.kubernetes.api import TIMEOUT, Api, segment
from forestall.core.rfc3339 import write_time
from forestall.core.untrusted import get_path, integer, mapping, string
from forestall.errors import ClusterError, Conflict, LostLease, NotFound, Unavailable

_log = structlog.get_logger(__name__)


def boottime() -> float:
    """Return the seconds since the machine started, including suspended time where the system provides it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class Timing:
    """The four times of an election, in seconds."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0
    request: float = TIMEOUT

    def __post_init__(self) -> None:
        if not self.retry < self.renew_deadline <= self.duration - self.request:
            raise ValueError("retry < renew_deadline <= duration - request must hold, or two could lead at once")


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says."""

    holder: str = ""
    """The holder's identity; empty after a release."""
    duration: float = 0.0
    transitions: int = 0
    acquired: str = ""
    renewed: str = ""
    resource_version: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Annotations that the leader writes with its renewals."""


class LeaseStore(Protocol):
    """Storage of the lease. Each call raises `ClusterError` or a subclass, and ends within `seconds`."""

    async def read(self, seconds: float) -> LeaseRecord:
        """Return the lease; `NotFound` where there is none yet."""
        ...

    async def create(self, record: LeaseRecord, seconds: float) -> LeaseRecord:
        """Create the lease; `Conflict` where it exists."""
        ...

    async def update(self, record: LeaseRecord, seconds: float) -> LeaseRecord:
        """Replace the lease; `Conflict` unless it still has the record's `resource_version`."""
        ...


class KubernetesLease:
    """A `coordination.k8s.io/v1` Lease."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{segment(namespace)}/leases"

    async def read(self, seconds: float) -> LeaseRecord:
        """Return the lease; `NotFound` where there is none yet."""
        return _record(await self._api.request("GET", f"{self._path}/{segment(self._name)}", timeout=seconds))

    async def create(self, record: LeaseRecord, seconds: float) -> LeaseRecord:
        """Create the lease; `Conflict` where it exists."""
        return _record(await self._api.request("POST", self._path, body=self._body(record), timeout=seconds))

    async def update(self, record: LeaseRecord, seconds: float) -> LeaseRecord:
        """Replace the lease; `Conflict` unless it still has the record's `resource_version`."""
        path = f"{self._path}/{segment(self._name)}"
        return _record(await self._api.request("PUT", path, body=self._body(record), timeout=seconds))

    def _body(self, record: LeaseRecord) -> dict[str, Any]:
        metadata = {"name": self._name, "namespace": self._namespace, "annotations": dict(record.notes)}
        if record.resource_version:
            metadata["resourceVersion"] = record.resource_version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": record.holder,
                "leaseDurationSeconds": max(1, round(record.duration)),
                "leaseTransitions": record.transitions,
                "acquireTime": record.acquired,
                "renewTime": record.renewed,
            },
        }


def _record(body: dict[str, Any]) -> LeaseRecord:
    version = string(get_path(body, "metadata", "resourceVersion"))
    if body.get("kind") != "Lease" or not version:
        raise Unavailable("the answer about the lease is no Lease")
    spec = mapping(body.get("spec"))
    return LeaseRecord(
        holder=string(spec.get("holderIdentity")),
        duration=float(integer(spec.get("leaseDurationSeconds")) or 0),
        transitions=integer(spec.get("leaseTransitions")) or 0,
        acquired=string(spec.get("acquireTime")),
        renewed=string(spec.get("renewTime")),
        resource_version=version,
        notes={key: string(value) for key, value in mapping(get_path(body, "metadata", "annotations")).items()},
    )


class Elector:
    """Acquires and renews the lease; run `run` as a task.

    `identity` must be unique to this process, not only to its pod. `on_lost` is called once when the lease is lost for
    any reason but `release`: the process must exit then, because its requests under way may still take effect.
    """

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        on_lost: Callable[[str], None],
        timing: Timing = Timing(),
        *,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._identity = identity
        self._on_lost = on_lost
        self._timing = timing
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._own_record: LeaseRecord | None = None
        self._sent = 0.0  # when the last successful renewal was sent
        self._observed = LeaseRecord()
        self._seen_at = float("-inf")  # when another version of the lease was last seen
        self._moved = clock()
        self._elected = asyncio.Event()
        self._notes: dict[str, str] = {}

    @property
    def is_leader(self) -> bool:
        """Whether this process may write now."""
        return self._own_record is not None and self._clock() < self._sent + self._timing.renew_deadline

    @property
    def stands_by(self) -> bool:
        """Whether this process has not been leader yet."""
        return not self._elected.is_set()

    @property
    def moves(self) -> bool:
        """Whether the loop has made progress recently, as leader or standby."""
        return self._clock() - self._moved < self._timing.duration

    def fence(self) -> float:
        """Return the seconds until another process may lead: a write must end before.

        Raises:
            LostLease: this process must not write, because it is not the leader, or has not renewed in time.
        """
        if not self.is_leader:
            raise LostLease(
                "this process does not lead" if self._own_record is None else "the lease was not renewed in time"
            )
        return self._sent + self._timing.duration - self._clock()

    def note(self, key: str, value: str) -> None:
        """Set an annotation of the Lease, which is written with the next renewal."""
        self._notes[key] = value

    async def elected(self) -> None:
        """Wait until this process is the leader."""
        await self._elected.wait()

    async def run(self) -> None:
        """Acquire the lease, then renew it until it is lost or the task is cancelled."""
        try:
            while not (self._own_record is None and self._elected.is_set()):
                self._moved = self._clock()
                await (self._try_to_lead() if self._own_record is None else self._renew())
                await self._sleep(self._timing.retry)
        except Exception as error:
            self._lose(f"the lease loop broke: {error}")
            raise

    async def release(self) -> None:
        """Release the lease, so that a standby takes over at once.

        Call it after `run` was cancelled and nothing writes any more. It is optional: when it fails, the standby waits
        until the lease expires.
        """
        own_record, self._own_record = self._own_record, None
        if own_record is None:
            return
        try:
            try:
                await self._release_record(own_record)
            except Conflict:  # a renewal that was cut off by the end had been taken
                record = await self._store.read(self._timing.request)
                if record.holder == self._identity:
                    await self._release_record(record)
        except ClusterError as error:
            _log.info("lease not released", error=str(error))

    async def _release_record(self, own_record: LeaseRecord) -> None:
        await self._store.update(
            replace(own_record, holder="", duration=1.0, renewed=self._now()), self._timing.request
        )

    async def _try_to_lead(self) -> None:
        try:
            record = await self._store.read(self._timing.request)
        except NotFound:
            await self._take(LeaseRecord(), self._store.create)
            return
        except ClusterError as error:
            _log.warning("lease not read", error=str(error))
            return
        if record.resource_version != self._observed.resource_version:
            self._observed, self._seen_at = record, self._clock()
        # one's own name on it: a write that was thought to have failed did not
        free = record.holder in ("", self._identity)
        if free or self._clock() - self._seen_at >= max(record.duration, self._timing.duration):
            await self._take(record, self._store.update)

    async def _take(self, current: LeaseRecord, write: Callable[[LeaseRecord, float], Awaitable[LeaseRecord]]) -> None:
        sent, now = self._clock(), self._now()
        record = LeaseRecord(
            holder=self._identity,
            duration=self._timing.duration,
            transitions=current.transitions + (1 if current.resource_version else 0),
            acquired=now,
            renewed=now,
            resource_version=current.resource_version,
            notes=current.notes,
        )
        try:
            self._own_record = await write(record, self._timing.request)
        except Conflict:
            return  # somebody else was quicker
        except ClusterError as error:
            _log.warning("lease not taken", error=str(error))
            return
        self._sent = sent
        self._elected.set()
        _log.info("leading", identity=self._identity, before=current.holder)

    async def _renew(self) -> None:
        own_record = self._own_record
        assert own_record is not None  # noqa: S101 -- run() calls this only while the lease is held
        sent = self._clock()
        left = self._sent + self._timing.renew_deadline - sent
        if left <= 0:
            self._lose(f"not renewed for {self._timing.renew_deadline:g} s")
            return
        try:
            record = replace(own_record, renewed=self._now(), notes={**own_record.notes, **self._notes})
            renewed = await self._store.update(record, min(self._timing.request, left))
        except Conflict:
            await self._reread()
        except NotFound:
            self._lose("the lease was deleted")
        except ClusterError as error:
            _log.warning("lease not renewed", error=str(error), seconds_left=round(left, 1))
        else:
            self._own_record, self._sent = renewed, sent

    async def _reread(self) -> None:
        """Read the lease after a refused renewal: another process leads, or an earlier renewal had succeeded after
        all.
        """
        try:
            record = await self._store.read(self._timing.request)
        except ClusterError as error:
            _log.warning("lease not read", error=str(error))
            return
        if record.holder == self._identity:
            self._own_record = record  # the next renewal is sent with the right version
        else:
            self._lose(f"{record.holder or 'nobody'} holds the lease")

    def _lose(self, why: str) -> None:
        self._own_record = None
        _log.error("lead lost", why=why)
        self._on_lost(why)

    def _now(self) -> str:
        return write_time(self._wall())
