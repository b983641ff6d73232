"""`forestall run`: the operator."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Final

import click

from forestall.cli import options
from forestall.cli.wiring import ClusterOptions, RunOptions
from forestall.core.duration import parse_duration
from forestall.errors import InvalidDuration

if TYPE_CHECKING:
    from pathlib import Path

    from forestall.cli.app import State

LONGEST_INTERVAL: Final = 3600.0


def _interval(_: click.Context, __: click.Parameter, value: str) -> float:
    try:
        seconds = parse_duration(value)
    except InvalidDuration as error:
        raise click.BadParameter(f"{error}.") from error
    if not 1 <= seconds <= LONGEST_INTERVAL:
        raise click.BadParameter(f"{value} is not between 1s and 1h.")
    return seconds


def _listen(_: click.Context, __: click.Parameter, value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{value!r} is not an address such as 0.0.0.0:8080 or [::]:8080.")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104 -- the kubelet probes it


@click.command
@options.kubeconfig
@options.context
@click.option(
    "--namespace",
    "-n",
    envvar="POD_NAMESPACE",
    default="forestall-system",
    show_default=True,
    show_envvar=True,
    help="The operator's own namespace, with its Lease and the Secrets of metric sources and channels.",
)
@click.option(
    "--identity",
    envvar="POD_NAME",
    default=platform.node,
    show_default="host name",
    show_envvar=True,
    help="The identity that holds the Lease.",
)
@click.option(
    "--interval",
    callback=_interval,
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="The interval of the cycles.",
)
@click.option(
    "--listen",
    callback=_listen,
    default="0.0.0.0:8080",
    show_default=True,
    help="The address that serves /livez, /readyz and /metrics.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    show_default=True,
    help="auto: text on a terminal, else JSON.",
)
@click.option("--dry-run", is_flag=True, help="Read, forecast and decide, but write nothing to the cluster.")
@options.debug
@click.pass_obj
def run(  # noqa: PLR0913 -- one parameter an option, as click hands them over
    state: State,
    *,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str,
    identity: str,
    interval: float,
    listen: tuple[str, int],
    log_level: str,
    log_format: str,
    dry_run: bool,
) -> int:
    """Run the operator, until SIGTERM or SIGINT."""
    log_json = not sys.stderr.isatty() if log_format == "auto" else log_format == "json"
    return state.wiring.run(
        RunOptions(
            ClusterOptions(kubeconfig, context), namespace, identity, interval, listen, log_level, log_json, dry_run
        )
    )
