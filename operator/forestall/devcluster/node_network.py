"""The network of a cluster of real nodes: a namespace with a bridge, whose addresses exist nowhere else.

The control plane's servers and CoreDNS run in that namespace, at `ADDRESS`; each node has a namespace of its own and a
cable to the bridge. When the processes end, the kernel removes all of it.
"""

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from forestall.devcluster.processes import run
from forestall.devcluster.workspace import Workspace

ADDRESS: Final = "172.30.0.1"
PODS: Final = "10.244.0.0/16"
SERVICES: Final = "10.0.0.0/24"
API_SERVICE: Final = "10.0.0.1"
DNS_SERVICE: Final = "10.0.0.10"
_FIRST: Final = 11
"""The last number of the first node's address."""
_WAIT_S: Final = 60.0
_FORWARD_IP: Final = "echo 1 > /proc/sys/net/ipv4/ip_forward"


def node_address(number: int) -> str:
    """Return the address of node `number`, from 1 on."""
    return f"172.30.0.{_FIRST + number - 1}"


def pod_range(number: int) -> str:
    """Return the addresses that the pods of node `number` get."""
    return f"10.244.{_FIRST + number - 1}.0/24"


class NodeNetwork:
    """The network namespace of a cluster, held by a process of the workspace that does nothing else."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._pid = 0

    def start(self, holder: Path, nodes: int) -> None:
        """Make the namespace, held by the program `holder`, with a bridge and routes for so many nodes."""
        process = self._workspace.start("network", ["unshare", "--net", self._workspace.link(holder)])
        self._pid = process.pid
        wait_for_network(process, process.pid, self._workspace, "network")
        lines = ["link set lo up", "link add br0 type bridge", f"addr add {ADDRESS}/24 dev br0", "link set br0 up"]
        lines += [f"route add {pod_range(number)} via {node_address(number)}" for number in range(1, nodes + 1)]
        configure(self._pid, lines)

    def inside(self, command: Sequence[str | Path]) -> list[str | Path]:
        """Return the command that runs `command` in this network."""
        return ["nsenter", f"--net=/proc/{self._pid}/ns/net", "--", *command]

    def attach(self, pid: int, number: int, nodes: int) -> None:
        """Lay a cable between the bridge and node `number`, whose first process is `pid`."""
        run(
            self.inside(
                ["ip", "link", "add", f"node{number}", "type", "veth", "peer", "name", "eth0", "netns", str(pid)]
            )
        )
        run(self.inside(["ip", "link", "set", f"node{number}", "master", "br0", "up"]))
        peers = [other for other in range(1, nodes + 1) if other != number]
        lines = ["link set lo up", f"addr add {node_address(number)}/24 dev eth0", "link set eth0 up"]
        lines += [f"route add default via {ADDRESS}"]
        lines += [f"route add {pod_range(other)} via {node_address(other)}" for other in peers]
        configure(pid, lines)

    def connect(self, number: int, *, up: bool) -> None:
        """Connect node `number` to the bridge again, or cut it off, as when its cable is pulled."""
        run(self.inside(["ip", "link", "set", f"node{number}", "up" if up else "down"]))

    def forward(self, port: int, address: str = "127.0.0.1") -> None:
        """Let this machine reach a port of an address in the network at the same port of its own loopback interface."""
        self._forward(f"forward-{port}", self._forwarder(port, address), port)

    def relay(self, port: int, address: str) -> None:
        """Let the network itself reach a port of an address at the same port of its own loopback interface."""
        self._forward(f"relay-{port}", self.inside(self._forwarder(port, address)), port, self._pid)

    def _forwarder(self, port: int, address: str) -> list[str]:
        return [sys.executable, "-m", "forestall.devcluster.forward", str(self._pid), str(port), address]

    def _forward(self, name: str, command: Sequence[str | Path], port: int, network: int | str = "self") -> None:
        process = self._workspace.start(name, command)
        complaint = f"port {port} cannot be forwarded"
        self._workspace.wait_for(process, name, partial(_listens, port, network), complaint, _WAIT_S)


def configure(pid: int, lines: Sequence[str]) -> None:
    """Have `ip` do what the lines say in the network of a process, and let packets through it."""
    enter = ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]
    run([*enter, "ip", "-batch", "-"], stdin="\n".join(lines) + "\n")
    run([*enter, "sh", "-c", _FORWARD_IP])


def wait_for_network(process: "subprocess.Popen[bytes]", pid: int, workspace: Workspace, name: str) -> None:
    """Return when the process `pid`, begun by `process`, has a network of its own; raises CommandFailed."""
    workspace.wait_for(process, name, partial(_is_apart, pid), f"{name} has no network of its own", _WAIT_S)


def _is_apart(pid: int) -> bool:
    return _network(pid) not in (None, _network("self"))


def _network(pid: int | str) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return None


def _listens(port: int, network: int | str) -> bool:
    """Say whether something listens on a loopback port of the network of a process, without a connection to it."""
    wanted = f"0100007F:{port:04X}"
    lines = (line.split() for line in Path(f"/proc/{network}/net/tcp").read_text().splitlines()[1:])
    return any(fields[1] == wanted and fields[3] == "0A" for fields in lines)
