"""Host names of endpoints are resolved in threads of their own.

aiohttp resolves in the threads that the whole process shares: a few names whose resolution hangs would take them all,
and every cycle would wait for one.
"""

import socket
from functools import partial
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from forestall.adapters.threads import Threads, ThreadsClosed, TooManyHang

_MOST: Final = 2
"""How many resolutions of one name may be under way."""
_HOSTS: Final = 32
"""For how many names threads are kept."""
_THREADS: Final[dict[str, Threads]] = {}
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Resolver(AbstractResolver):
    """Resolves names; what hangs for one name keeps no other waiting."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host`.

        Raises:
            OSError: it has none, or earlier resolutions, of it or of too many others, are still under way.
        """
        find = partial(socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM)
        try:
            answers = await _threads_of(host).run(find)
        except (TooManyHang, ThreadsClosed) as error:
            raise OSError("earlier resolutions are still under way") from error
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=proto, flags=_NUMERIC
            )
            for kind, _, proto, _, address in answers
        ]

    async def close(self) -> None:
        """Do nothing: the threads are kept for the next request."""


def _threads_of(host: str) -> Threads:
    if host not in _THREADS and len(_THREADS) >= _HOSTS:
        _THREADS.pop(next(iter(_THREADS))).close()
    return _THREADS.setdefault(host, Threads(_MOST, "resolver"))
