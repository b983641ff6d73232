"""A source hangs in every way that networks allow, beside a healthy one. The kind: one slow thing in a cycle delays
all.

Real sockets on loopback; names are resolved by the system's resolver, whose server never responds.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from forestall.adapters.http import Endpoint
from forestall.adapters.prometheus import PrometheusMetrics, SourceConfig
from forestall.ports import Answer, Query, QueryFailure

BUDGET = 2.0
LATE = "beside the cycles"
QUERIES = [Query(number, f"up + {number}", owner=f"team-{number % 3}") for number in range(30)]


@contextlib.contextmanager
def accepting(serve):
    """A server that handles every connection by `serve(connection, over)`."""
    over, connections = threading.Event(), []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connections.append(connection)
                    threading.Thread(target=serve, args=(connection, over), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        for connection in connections:
            connection.close()


def silent(_, over):
    over.wait()


def trickles(connection, over):
    with contextlib.suppress(OSError):
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.05):
            connection.sendall(b"x-a: b\r\n")


def trickles_its_body(connection, over):
    with contextlib.suppress(OSError):
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not over.wait(0.05):
            connection.sendall(b" ")


@contextlib.contextmanager
def full():
    """A server that accepts no connection, with a full backlog."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    "hanging",
    [
        pytest.param(full, id="no connection"),
        pytest.param(lambda: accepting(silent), id="silent"),
        pytest.param(lambda: accepting(trickles), id="trickling headers"),
        pytest.param(lambda: accepting(trickles_its_body), id="trickling body"),
    ],
)
async def test_hanging_source_delays_one_cycle_and_no_other_source(hanging, faulty):
    with hanging() as url:
        metrics = PrometheusMetrics(budget=BUDGET)
        metrics.set_sources({"hangs": SourceConfig(Endpoint(url)), "well": SourceConfig(Endpoint(faulty.url))})
        reasons, messages = set(), []
        for _ in range(4):
            late, answered = await asyncio.gather(
                metrics.instant("hangs", QUERIES, time.time()), metrics.instant("well", QUERIES, time.time())
            )
            assert all(isinstance(each, Answer) for each in answered.values())
            failures = [each for each in late.values() if isinstance(each, QueryFailure)]
            assert len(failures) == len(QUERIES)
            reasons |= {each.reason for each in failures}
            messages.append(failures[0].message)
        assert reasons == {"SourceTimeout"}
        assert [LATE in message for message in messages] == [False, True, True, True]
        assert sum(each.name == "source-hangs" for each in threading.enumerate()) <= 8
        await metrics.close()


NAMES = """
import asyncio, json, sys, threading, time
from forestall.adapters.http import Endpoint, aiohttp_session
from forestall.adapters.prometheus import PrometheusMetrics, SourceConfig
from forestall.ports import Answer, Query

async def channel(name):
    async with aiohttp_session(Endpoint(f"http://{name}", timeout=1.0)) as session:
        try:
            await session.get(f"http://{name}/")
        except Exception as error:
            return type(error).__name__

async def main():
    metrics = PrometheusMetrics(budget=2.0)
    queries = [Query(n, f"up + {n}") for n in range(30)]
    sources = {f"hangs-{n}": SourceConfig(Endpoint(f"http://prometheus-{n}.example")) for n in range(3)}
    metrics.set_sources({**sources, "well": SourceConfig(Endpoint(sys.argv[1]))})
    seconds, told = [], []
    for _ in range(4):
        began = time.monotonic()
        answers = await asyncio.gather(*(metrics.instant(name, queries, time.time()) for name in [*sources, "well"]))
        seconds.append(time.monotonic() - began)
        assert all(isinstance(each, Answer) for each in answers[-1].values())
        told.append(sorted({each.reason for some in answers[:-1] for each in some.values()}))
    channels = await asyncio.gather(*(channel(f"hook-{n}.example") for n in range(20)))
    began = time.monotonic()
    await asyncio.to_thread(lambda: None)
    shared = time.monotonic() - began
    print(json.dumps({"seconds": seconds, "told": told, "channels": channels, "shared": shared}))

asyncio.run(main())
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="a resolver of one's own needs root and unshare"
)
def test_hanging_name_lookups_use_separate_threads_and_do_not_delay_the_exit(faulty, tmp_path):
    """A hanging lookup occupied the threads that the whole process shares, and the exit of the process waited for
    it.
    """
    resolver = tmp_path / "resolv.conf"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.211", 53))
        resolver.write_text("nameserver 127.0.0.211\noptions timeout:30 attempts:2\n")
        script = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", NAMES, faulty.url]
        path = str(Path(__file__).parents[3] / "operator")
        began = time.monotonic()
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=55, check=False
        )
        ended = time.monotonic() - began
    if done.returncode and ("unshare" in done.stderr or "mount:" in done.stderr):
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["told"] == [["SourceTimeout"]] * 4
    assert len(told["channels"]) == 20
    assert None not in told["channels"]
    assert told["shared"] < 10, "the threads that all share are free"
    assert ended < 50, "a lookup takes 60 s"
