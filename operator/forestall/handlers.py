"""What watches the cluster: Kopf, and the only place that knows it.

The handlers do nothing but keep the registry fresh. Kopf writes nothing: no finalizer, no annotation, no status, no
peering, no event of its own.
"""

import asyncio
import itertools
import signal
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import kopf
import structlog

from forestall.api import API_VERSION, Resource
from forestall.registry import WATCHED, Invalid, Namespace, Registry

WAIT_FOR_TOKEN = 60.0
"""How many seconds a refused token may take to be replaced in its file, before it is tried once more."""
PAGE = 500

_log = structlog.get_logger(__name__)


class Login(Protocol):
    """Where the API server is, and as whom it is asked."""

    @property
    def server(self) -> str: ...
    @property
    def ca_path(self) -> str | None: ...
    @property
    def insecure(self) -> bool: ...
    @property
    def token(self) -> str | None: ...
    @property
    def certificate_path(self) -> str | None: ...
    @property
    def private_key_path(self) -> str | None: ...
    @property
    def proxy_url(self) -> str | None: ...


class Access(Protocol):
    """What gives and renews logins."""

    def login(self) -> Login:
        """Return the present login."""
        ...

    async def renew(self, refused: str | None) -> bool:
        """Read the credentials again, since the token `refused` was refused; say whether there is another now."""
        ...


async def watch(
    registry: Registry,
    access: Access,
    stop: asyncio.Event,
    on_signal: Callable[[], None] | None = None,
) -> None:
    """Keep `registry` fresh until `stop` is set; what can't go on raises, and the process should be started anew.

    Kopf cancels, when it ends, every task that was started after it: start the elector, the web server and the recorder
    of events before. It also takes over SIGTERM and SIGINT; with `on_signal` they are given back as soon as it runs.
    """
    ready = asyncio.Event()
    returning = asyncio.create_task(_return_signals(ready, on_signal), name="signals")
    try:
        await kopf.operator(
            registry=handlers(registry, access),
            settings=settings(),
            standalone=True,
            clusterwide=True,
            stop_flag=stop,
            ready_flag=ready,
        )
    finally:
        returning.cancel()


def handlers(registry: Registry, access: Access) -> kopf.OperatorRegistry:
    """Return Kopf's registry with one handler a kind, and the login."""
    own = kopf.OperatorRegistry()
    kopf.on.login(registry=own, id="login")(_Logins(access))
    for model in WATCHED:
        kopf.on.event(*_selector(model), registry=own, id=model.PLURAL)(_Note(model.KIND, registry))
    return own


def settings() -> kopf.OperatorSettings:
    """Return Kopf's settings: it lists by pages, outlives a lost API server, and writes nothing."""
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
    """Remembers nothing on the objects: a tenant could write there, and then silence the handlers."""

    def fetch(self, **_: Any) -> None:
        """Find nothing."""

    def store(self, **_: Any) -> None:
        """Write nothing."""


class _Note:
    """The handler of one kind: it notes what the watch said."""

    def __init__(self, kind: str, registry: Registry) -> None:
        self._kind = kind
        self._registry = registry

    async def __call__(self, event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        if event["type"] == "DELETED":
            self._registry.remove(self._kind, body["metadata"]["uid"])
            return
        entry = self._registry.put(self._kind, body)
        if isinstance(entry, Invalid):
            ref = entry.ref
            _log.warning("invalid object", kind=ref.kind, namespace=ref.namespace, name=ref.name, error=entry.message)


class _Logins:
    """The login handler. When a token was refused it waits for the next one, for else Kopf would end the process."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._given: Login | None = None
        self._attempt = 0

    async def __call__(self, **_: Any) -> kopf.ConnectionInfo:
        if self._given is not None:
            _log.warning("login refused", server=self._given.server)
            await self._renewed(self._given.token)
        self._given = login = self._access.login()
        self._attempt += 1
        return kopf.ConnectionInfo(
            server=login.server,
            ca_path=login.ca_path,
            insecure=login.insecure,
            scheme="Bearer" if login.token else None,
            token=login.token,
            certificate_path=login.certificate_path,
            private_key_path=login.private_key_path,
            proxy_url=login.proxy_url,
            # Kopf never takes credentials again that were refused once. The API server may have been wrong: another
            # priority makes them new.
            priority=self._attempt,
        )

    async def _renewed(self, refused: str | None) -> None:
        try:
            async with asyncio.timeout(WAIT_FOR_TOKEN):
                while not await self._access.renew(refused):  # noqa: ASYNC110 -- nobody tells when a file changes
                    await asyncio.sleep(1)
        except TimeoutError:
            _log.warning("no other token came, trying the same again")


def _selector(model: type[Resource]) -> tuple[str, ...]:
    group = () if model is Namespace else (API_VERSION,)
    return (*group, model.PLURAL)


async def _return_signals(ready: asyncio.Event, on_signal: Callable[[], None] | None) -> None:
    """Take SIGTERM and SIGINT back from Kopf, which would cancel the cycle in its middle."""
    await ready.wait()
    if on_signal is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, on_signal)
