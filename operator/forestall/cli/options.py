"""Options that several commands share, in kubectl's words."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from forestall.cli.objects import parse_name
from forestall.cli.wiring import ClusterOptions
from forestall.core.duration import parse_duration
from forestall.errors import InvalidDuration

if TYPE_CHECKING:
    from forestall.cli.app import State

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

Command = Callable[..., Any]


def _debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 -- click calls it
    if value:
        ctx.obj.debug = True


def _namespace(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _NAMESPACE.fullmatch(value):  # an empty one would mean all
        raise click.BadParameter(f"{value!r} is not the name of a namespace.")
    return value


debug = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_debug, help="Show the traceback of an error."
)
kubeconfig = click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    help="The kubeconfig file. Default: as for kubectl.",
)
context = click.option("--context", help="The kubeconfig context. Default: the current one.")


def namespace_of(purpose: str) -> Callable[[Command], Command]:
    """Return the option `--namespace` with this help."""
    return click.option("-n", "--namespace", callback=_namespace, help=purpose)


namespace = namespace_of("The namespace. Default: that of the context.")
namespace_of_files = namespace_of("The namespace of objects without one. Default: `default`.")


def name(argument: str, kind: str) -> Callable[[Command], Command]:
    """Return a decorator for the argument that names one object of a kind, as NAME or KIND/NAME."""

    def check(_: click.Context, __: click.Parameter, value: str) -> str:
        return parse_name(value, (kind,), kind).name

    return click.argument(argument.lower(), metavar=argument, callback=check)


def connected(command: Callable[..., Awaitable[int | None]]) -> Command:
    """Give an async command its session: `--kubeconfig` and `--context` become its first argument."""

    @kubeconfig
    @context
    @debug
    @click.pass_obj
    @functools.wraps(command)
    def call(state: State, /, kubeconfig: Path | None, context: str | None, **arguments: object) -> int | None:
        async def with_session() -> int | None:
            async with state.wiring.connect(ClusterOptions(kubeconfig, context)) as session:
                return await command(session, **arguments)

        return asyncio.run(with_session())

    return call


def duration(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of an option that is a duration; for click, which calls it."""
    if value is None:
        return None
    length = seconds_of(value)
    if length <= 0:
        raise click.BadParameter(f"{value} is no time at all.")
    return length


def seconds_of(text: str) -> float:
    """Return the seconds of a duration that a person wrote.

    Raises:
        click.BadParameter: it is none.
    """
    try:
        return parse_duration(text)
    except InvalidDuration as error:
        raise click.BadParameter(f"{error}.") from error
