"""Free ports on the loopback interface."""

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Return that many different TCP ports that nothing listens on at this moment.

    Another process may take one of them before it is used; whoever starts a server there should be ready to retry.
    """
    with ExitStack() as sockets:
        ports = []
        for _ in range(count):
            taken = sockets.enter_context(socket.socket())
            taken.bind(("127.0.0.1", 0))
            ports.append(int(taken.getsockname()[1]))
        return ports
