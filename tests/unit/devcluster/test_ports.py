"""Free ports."""

import socket
from pathlib import Path

import pytest

from forestall.devcluster import ports
from forestall.devcluster.ports import free_ports


def test_ports_are_different_and_not_those_of_outgoing_connections():
    found = free_ports(50)
    assert len(set(found)) == 50
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(outgoing.read_text().split()[0]) if outgoing.exists() else 49152
    if first <= 10_000:
        pytest.skip("this machine gives nearly all ports to outgoing connections")
    assert max(found) < first


def test_a_port_that_is_taken_is_not_returned(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            other = free.getsockname()[1]
        monkeypatch.setattr(ports, "_RANGE", [port, other])
        assert free_ports(1) == [other]
