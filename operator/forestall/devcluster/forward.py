"""Reach a port of a network namespace from outside it: ``python -m forestall.devcluster.forward PID PORT ADDRESS``.

It listens on that port of the loopback interface here, and connects to the same port of ADDRESS in the network
of the process PID. So what runs there has no address on this machine, and is reached all the same.
"""

import asyncio
import ctypes
import os
import socket
import sys
from contextlib import suppress
from typing import Final

_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET of sched.h
_BYTES: Final = 65536


def main() -> None:
    """Forward until this process is ended."""
    pid, port, address = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    listener = socket.create_server(("127.0.0.1", port), backlog=128)  # stays in the network where it was made
    enter_network(pid)
    asyncio.run(_serve(listener, address, port))


def enter_network(pid: int) -> None:
    """Move this thread into the network of a process; raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net") as network:  # noqa: PTH123 -- a magic link, of which a file descriptor is needed
        if library.setns(network.fileno(), _NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


async def _serve(listener: socket.socket, address: str, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(address, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        for stream in (writer, far_writer):
            stream.close()

    async with await asyncio.start_server(connected, sock=listener) as server:
        await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of the stream, and end the other one there."""
    with suppress(OSError):
        while chunk := await reader.read(_BYTES):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.write_eof()


if __name__ == "__main__":
    main()
