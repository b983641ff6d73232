"""Free ports on the loopback interface."""

import random
import socket
from contextlib import ExitStack, suppress
from typing import Final

_RANGE: Final = range(10_000, 30_000)
"""Below the ports that systems give to outgoing connections (32768 and up on Linux, 49152 and up elsewhere), which
would take one between here and its use, and below the node ports of Kubernetes."""
_DICE: Final = random.SystemRandom()
"""Whatever seeds the common generator must not give two programs the same ports."""


def free_ports(count: int) -> list[int]:
    """Return that many different TCP ports that nothing listens on at this moment.

    They are chosen at random, so that programs that ask at the same time hardly ever get the same one. Whoever starts a
    server there can still come too late, and should be ready to retry.
    """
    with ExitStack() as sockets:
        ports: list[int] = []
        while len(ports) < count:
            port = _DICE.choice(_RANGE)
            with suppress(OSError):
                bound = sockets.enter_context(socket.socket())
                bound.bind(("127.0.0.1", port))
                ports.append(port)
        return ports
