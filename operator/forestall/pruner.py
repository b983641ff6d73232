"""What watches do not report: objects deleted during an interruption, and whether the initial list is complete.

A watch that was interrupted for long starts again with a list, and never reports what was deleted in between. So the
UIDs of all objects are listed regularly. The first list also shows when the registry is synced.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from forestall.api import API_VERSION, Resource
from forestall.errors import ClusterError, NotFound
from forestall.isolation import ErrorIsolation
from forestall.registry import WATCHED, Namespace, Registry

INTERVAL = 300.0
"""The interval (s) of lists."""
UNSYNCED_INTERVAL = 1.0
"""The interval (s) of lists until the registry is synced."""
REMINDER_INTERVAL = 30.0
"""The interval (s) at which missing kinds are logged again."""

_log = structlog.get_logger(__name__)


class Lister(Protocol):
    """Lists UIDs."""

    async def uids(self, api_version: str, kind: str) -> frozenset[str]:
        """Return the UIDs of all objects of a kind; `NotFound` where the cluster has no such kind."""
        ...


class Pruner:
    """Removes deleted objects from the registry; `run` it as a task."""

    def __init__(
        self,
        registry: Registry,
        lister: Lister,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        interval: float = INTERVAL,
    ) -> None:
        self._registry = registry
        self._lister = lister
        self._sleep = sleep
        self._interval = interval
        self._isolation = ErrorIsolation()

    async def wait_for_kinds(self, beat: Callable[[], None] = lambda: None) -> None:
        """Wait until the API server serves every watched kind, and call `beat` while waiting."""
        waited = 0.0
        while errors := {model.KIND: error for model in WATCHED if (error := await self._list_error(model))}:
            missing = [kind for kind, error in errors.items() if isinstance(error, NotFound)]
            if missing and waited % REMINDER_INTERVAL == 0:
                _log.error("the cluster does not serve these kinds: apply forestall's CRDs", kinds=missing)
            beat()
            await self._sleep(UNSYNCED_INTERVAL)
            waited += UNSYNCED_INTERVAL

    async def run(self) -> None:
        """List and prune until cancelled, often until the registry is synced."""
        while True:
            self._isolation.begin(time.monotonic())
            unsynced = self._registry.unsynced
            for model in WATCHED:
                if not unsynced or model.KIND in unsynced:
                    with self._isolation.attempt("pruning", model.KIND):
                        await self._round(model)
            await self._sleep(UNSYNCED_INTERVAL if self._registry.unsynced else self._interval)

    async def _round(self, model: type[Resource]) -> None:
        kind = model.KIND
        before = self._registry.uids(kind)
        try:
            listed = await self._lister.uids(_api_version(model), kind)
        except ClusterError as error:
            _log.warning("objects not listed", kind=kind, error=str(error))
            return
        if pruned := self._registry.prune(kind, before - listed):
            _log.info("objects pruned whose deletion was missed", kind=kind, count=pruned)
        if kind in self._registry.unsynced and listed <= self._registry.uids(kind):
            self._registry.mark_synced(kind)
            _log.info("objects read", kind=kind, count=len(listed))

    async def _list_error(self, model: type[Resource]) -> ClusterError | None:
        """Return why a kind cannot be listed: `NotFound` where it is not served, another one where nobody can say."""
        try:
            await self._lister.uids(_api_version(model), model.KIND)
        except NotFound as error:
            return error
        except ClusterError as error:
            _log.warning("objects not listed", kind=model.KIND, error=str(error))
            return error
        return None


def _api_version(model: type[Resource]) -> str:
    return "v1" if model is Namespace else API_VERSION
