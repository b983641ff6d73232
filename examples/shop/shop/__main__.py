"""`python -m shop serve` runs the shop, `… load` sends it a day of traffic, `… day` prints one."""

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from shop.faults import DiskSettings, LeakSettings, fill
from shop.generator import Plan, Tally, generate
from shop.pods import PodState, follow
from shop.service import Settings, Shop, application
from shop.traffic import DAY, BadTraffic, Traffic, generated_day, recorded_day

_SHOP = Settings()
_END_S = 5.0
"""Shutdown timeout of requests in progress; none takes longer than the queue's patience."""


def main() -> None:
    """Run the command that the arguments name."""
    options = _parser().parse_args()
    try:
        options.run(options)
    except BadTraffic as error:
        sys.exit(f"shop: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shop", description=__doc__)
    commands = parser.add_subparsers(required=True)
    serve = commands.add_parser("serve", help="run the shop")
    serve.set_defaults(run=lambda options: asyncio.run(_serve(options)))
    serve.add_argument("--port", type=int, required=True)
    serve.add_argument("--address", default=os.environ.get("SHOP_ADDRESS") or "127.0.0.1", help="what it listens on")
    serve.add_argument(
        "--drain",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="keep serving for this time after SIGTERM; default: 0",
    )
    pods = serve.add_mutually_exclusive_group(required=True)
    pods.add_argument("--kubeconfig", help="follow the Ready pods of --selector")
    pods.add_argument("--pods", type=int, help="run without a cluster, with a fixed number of pods")
    pods.add_argument("--own-pod", action="store_true", help="be the pod POD_NAME on NODE_NAME: faults are real")
    serve.add_argument("--namespace", default="shop")
    serve.add_argument("--selector", default="app=shop")
    serve.add_argument("--slots", type=int, default=_SHOP.slots_per_pod, help="concurrent requests of a pod")
    serve.add_argument("--seed", type=int, default=_SHOP.seed)
    serve.add_argument("--leak", type=float, default=0.0, metavar="MIB", help="memory that each request leaks")
    serve.add_argument("--leak-per-second", type=float, default=0.0, metavar="MIB", help="memory that a real pod leaks")
    serve.add_argument(
        "--fill", type=Path, metavar="FOLDER", help="a folder in which a real pod writes until the disk is full"
    )
    serve.add_argument("--fill-per-second", type=float, default=1.0, metavar="MIB")
    serve.add_argument("--full-node", default="", metavar="NODE", help="the node whose disk fills up")
    serve.add_argument("--at", type=float, metavar="EPOCH", help="start of the fault; default: now")
    serve.add_argument("--fills-in", type=float, default=_SHOP.disk.fills_in, metavar="SECONDS")
    serve.add_argument("--cleaned-at", type=float, default=_SHOP.disk.cleaned_at, metavar="SECONDS")
    load = commands.add_parser("load", help="send a day of traffic")
    load.set_defaults(run=lambda options: asyncio.run(_load(options)))
    load.add_argument("url")
    load.add_argument("--duration", type=float, default=120.0, help="length of the run in seconds")
    load.add_argument("--hours", type=float, nargs=2, default=(0.0, 24.0), metavar=("FROM", "TO"))
    load.add_argument("--at", type=float, metavar="EPOCH", help="start of the hours, after the lead-in")
    load.add_argument("--lead-in", type=float, default=0.0, help="seconds of traffic at the initial rate before that")
    load.add_argument("--reconnect", action="store_true", help="send each request over a connection of its own")
    load.add_argument("--listen", metavar="HOST:PORT", help="serve metrics of the requests there")
    _traffic_options(load)
    day = commands.add_parser("day", help="print the day: seconds of the day and requests a second")
    day.set_defaults(run=_day)
    _traffic_options(day)
    return parser


def _traffic_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peak", type=float, default=200.0, help="requests a second at the peak of the day")
    parser.add_argument("--seed", type=int, default=7, help="seed of the generated day and of the arrivals")
    parser.add_argument("--csv", type=Path, help="a recorded day instead of a generated one")
    parser.add_argument("--column", default="rate", help="the CSV file's column with the traffic")
    parser.add_argument("--step", type=float, default=300.0, help="seconds between the CSV file's rows")


def _traffic(options: argparse.Namespace) -> Traffic:
    day = recorded_day(options.csv, options.column, options.step) if options.csv else generated_day(options.seed)
    return day.peaking_at(options.peak)


def _day(options: argparse.Namespace) -> None:
    traffic = _traffic(options)
    print("time,rate")
    for n, rate in enumerate(traffic.rates):
        if n * traffic.step <= DAY:
            print(f"{n * traffic.step:g},{rate:.3f}")


async def _serve(options: argparse.Namespace) -> None:
    shop = Shop(
        Settings(
            slots_per_pod=options.slots,
            seed=options.seed,
            leak=LeakSettings(per_request=options.leak, is_real=options.own_pod),
            disk=DiskSettings(node=options.full_node, fills_in=options.fills_in, cleaned_at=options.cleaned_at),
        ),
        _in_seconds(options.at),
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # A client that disconnects does not end the work on its request: a real pod continues too.
    runner = web.AppRunner(application(shop), access_log=None, shutdown_timeout=_END_S)
    await runner.setup()
    await web.TCPSite(runner, options.address, options.port, backlog=1024).start()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for work in _beside(options, shop)]
        await stop.wait()
        # A terminating pod still gets requests until every node has updated its endpoints.
        shop.drain()
        await asyncio.sleep(options.drain)
        for task in running:
            task.cancel()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(runner.cleanup(), 2 * _END_S)


def _beside(options: argparse.Namespace, shop: Shop) -> Iterator[Coroutine[Any, Any, None]]:
    """Set the pods, and yield the background tasks."""
    yield shop.measure_lag()
    if options.kubeconfig:
        yield follow(options.kubeconfig, options.namespace, options.selector, shop.follow)
    elif options.own_pod:
        name = os.environ.get("POD_NAME") or socket.gethostname()
        shop.follow({name: PodState(name, os.environ.get("NODE_NAME", ""), ready=True)})
        if options.leak_per_second:
            yield shop.memory.leak(options.leak_per_second)
        if options.fill:
            yield fill(options.fill, options.fill_per_second)
    else:
        shop.follow({str(n): PodState(f"shop-{n}", f"node-{n}", ready=True) for n in range(options.pods)})


async def _load(options: argparse.Namespace) -> None:
    host = urlsplit(options.url).hostname or ""
    # This program can send many requests: only to its own machine.
    if not (host == "localhost" or _is_loopback(host)):
        sys.exit(f"shop: the load generator only sends to this machine, not to {host or options.url}")
    start, end = (hour * 3600 for hour in options.hours)
    if not (0 <= start < end and options.duration > 0 and options.lead_in >= 0):
        sys.exit("shop: --hours must rise from 0, --duration must be above 0, and --lead-in not below")
    wait = _in_seconds(options.at) - options.lead_in if options.at else 0.0
    plan = Plan(_traffic(options), start, end, options.duration, options.lead_in, options.seed)
    tally = Tally()
    async with tally.metrics.served(options.listen) if options.listen else contextlib.nullcontext():
        await asyncio.sleep(wait)
        await generate(options.url, plan, behind=max(0.0, -wait), tally=tally, reconnect=options.reconnect)
    print(json.dumps(tally.summary()))


def _in_seconds(epoch: float | None) -> float:
    """Return the seconds until `epoch`; 0 without one."""
    return 0.0 if epoch is None else epoch - time.time()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    main()
