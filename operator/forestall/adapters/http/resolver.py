"""Resolves the host names of endpoints in separate threads for each name.

aiohttp resolves names in the thread pool of the process: a few names whose resolution hangs would occupy all of it, and
every cycle would wait.
"""

import socket
from functools import partial
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from forestall.adapters.threads import Threads, ThreadsClosed, TooManyHang

_MOST: Final = 2
"""How many resolutions of one name may run at once."""
_HOSTS: Final = 32
"""For how many names threads are kept at the most."""
_THREADS: Final[dict[str, Threads]] = {}
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Resolver(AbstractResolver):
    """Resolves host names; a resolution that hangs delays no other name."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host`.

        Raises:
            OSError: it has no address, or too many resolutions, of it or of other names, hang.
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
