"""The watches, by Kopf. No other module uses Kopf.

The handlers only update the registry. Kopf writes nothing: no finalizer, annotation, status, peering or Event.
"""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, Protocol

import kopf
import structlog

from forestall.api import API_VERSION, Resource
from forestall.ports import RestConfig
from forestall.registry import WATCHED, Invalid, Namespace, Registry

WAIT_FOR_TOKEN = 60.0
"""How long (s) to wait for a new token in its file after a token was rejected, before the same one is tried again."""
STOPPING = 10.0
"""How long (s) to wait for Kopf to stop."""
PAGE = 500

_log = structlog.get_logger(__name__)


class RestConfigProvider(Protocol):
    """Provides the configuration of the API client, and renews its credentials."""

    def rest_config(self) -> RestConfig:
        """Return the address of the API server, and the current credentials."""
        ...

    async def renew(self, refused: str | None) -> bool:
        """Read the credentials again after the token `refused` was rejected; return whether there is a new one."""
        ...


async def watch(registry: Registry, access: RestConfigProvider, identity: str) -> None:
    """Update `registry` until cancelled. An error that ends the watches is raised; restart the process then.

    `identity` names this process among its replicas. Kopf's default needs a user name, and an image's user has none.

    Kopf runs on its own event loop, in a thread: on a shared loop it cancels, when it ends, every task that was started
    after it, takes the process's signals, and blocks the loop while it reads long lists. Watch events are handed over
    to the loop of the caller, so the registry needs no lock.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    stop = threading.Event()
    operator = kopf.operator(
        registry=handlers(registry, access, loop),
        settings=settings(),
        identity=identity,  # type: ignore[arg-type] # a NewType of str that it does not export
        standalone=True,
        clusterwide=True,
        stop_flag=stop,
    )
    threading.Thread(target=_run, args=(operator, loop, ended), name="kopf", daemon=True).start()
    try:
        await asyncio.shield(ended)
    finally:
        stop.set()
        await asyncio.wait({ended}, timeout=STOPPING)


def _run(operator: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
    """Run Kopf until it ends, and set the result of `ended`."""

    async def operate() -> None:
        try:
            await operator
        finally:
            await asyncio.sleep(0.25)  # closed connections need a moment before the loop goes

    error: BaseException | None = None
    try:
        asyncio.run(operate())
    except BaseException as raised:  # noqa: BLE001 -- whatever it is, it is raised where the end is awaited
        error = raised

    def set_ended() -> None:
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)
            ended.exception()  # nobody may be waiting any more

    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(set_ended)


def handlers(registry: Registry, access: RestConfigProvider, loop: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
    """Return Kopf's registry with a handler for each kind, and the login. `registry` and `access` belong to `loop`."""
    own = kopf.OperatorRegistry()
    kopf.on.login(registry=own, id="login")(_LoginHandler(access, loop).log_in)
    for model in WATCHED:
        kopf.on.event(*_selector(model), registry=own, id=model.PLURAL)(
            _WatchHandler(model.KIND, registry, loop).handle
        )
    return own


def settings() -> kopf.OperatorSettings:
    """Return Kopf's settings: it lists in pages, retries without end, and writes nothing."""
    own = kopf.OperatorSettings()
    own.posting.enabled = False
    own.scanning.disabled = True  # the kinds are there before Kopf is started
    own.process.ultimate_exiting_timeout = None  # the process ends itself
    own.queueing.idle_timeout = 0.2
    own.watching.chunk_size = PAGE
    own.watching.server_timeout = 300
    own.watching.client_timeout = 330
    own.networking.request_timeout = 30
    own.networking.connect_timeout = 5
    own.networking.error_backoffs = Backoffs()
    own.persistence.diffbase_storage = _NoStorage()
    return own


class Backoffs:
    """Seconds to wait between attempts, without end, and from the start each time they are asked for."""

    def __iter__(self) -> Iterator[float]:
        """Yield the seconds."""
        return itertools.chain((1, 1, 2, 3, 5, 8), itertools.repeat(10))


class _NoStorage(kopf.DiffBaseStorage):
    """Stores nothing on the objects: a tenant could write there, and stop the handlers."""

    def fetch(self, **_: Any) -> None:
        """Find nothing."""

    def store(self, **_: Any) -> None:
        """Write nothing."""


class _WatchHandler:
    """The handler of one kind: it updates the registry by watch events."""

    def __init__(self, kind: str, registry: Registry, loop: asyncio.AbstractEventLoop) -> None:
        self._kind = kind
        self._registry = registry
        self._loop = loop

    async def handle(self, event: kopf.RawEvent, **_: Any) -> None:
        """Hand an event over to the registry's loop; Kopf calls this on its own loop."""
        self._loop.call_soon_threadsafe(self._apply, event["type"], event["object"])

    def _apply(self, event_type: str | None, body: Any) -> None:
        # The loop logs exceptions, and the next event is handled.
        if event_type == "DELETED":
            self._registry.remove(self._kind, body["metadata"]["uid"])
            return
        entry = self._registry.put(self._kind, body)
        if isinstance(entry, Invalid):
            ref = entry.ref
            _log.warning("invalid object", kind=ref.kind, namespace=ref.namespace, name=ref.name, error=entry.message)


class _LoginHandler:
    """The login handler. After a rejected token it waits for a new one; otherwise Kopf would end the process."""

    def __init__(self, access: RestConfigProvider, loop: asyncio.AbstractEventLoop) -> None:
        self._access = access
        self._loop = loop
        self._config: RestConfig | None = None
        self._attempt = 0

    async def log_in(self, **_: Any) -> kopf.ConnectionInfo:
        """Return the current credentials; after the first call, new ones."""
        if self._config is not None:
            _log.warning("login refused", server=self._config.server)
            await self._renewed(self._config.token)
        self._config = config = self._access.rest_config()
        self._attempt += 1
        return kopf.ConnectionInfo(
            server=config.server,
            ca_path=config.ca_path,
            insecure=config.insecure,
            scheme="Bearer" if config.token else None,
            token=config.token,
            certificate_path=config.certificate_path,
            private_key_path=config.private_key_path,
            proxy_url=config.proxy_url,
            # Kopf never uses rejected credentials again, but the API server may have been wrong: another priority
            # makes them different.
            priority=self._attempt,
        )

    async def _renewed(self, refused: str | None) -> None:
        try:
            async with asyncio.timeout(WAIT_FOR_TOKEN):
                while not await self._renew(refused):  # noqa: ASYNC110 -- nobody tells when a file changes
                    await asyncio.sleep(1)
        except TimeoutError:
            _log.warning("no other token came, trying the same again")

    async def _renew(self, refused: str | None) -> bool:
        renewing = asyncio.run_coroutine_threadsafe(self._access.renew(refused), self._loop)
        return await asyncio.wrap_future(renewing)


def _selector(model: type[Resource]) -> tuple[str, ...]:
    group = () if model is Namespace else (API_VERSION,)
    return (*group, model.PLURAL)
