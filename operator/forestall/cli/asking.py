"""The options by which a command asks a Prometheus, and the way to it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestall.cli.files import FILE
from forestall.cli.wiring import PrometheusOptions
from forestall.errors import InvalidInput, MetricsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from forestall.cli.app import State
    from forestall.ports import Metrics

    Command = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What a command was told of a Prometheus, by the options of `prometheus_options`."""

    url: str | None
    token_file: Path | None
    ca_file: Path | None
    headers: Mapping[str, str] = field(repr=False)


def prometheus_options(purpose: str) -> Callable[[Command], Command]:
    """Return the options `--prometheus`, with this help, `--token-file`, `--ca-file` and `--header`."""
    options = (
        click.option("--prometheus", "url", callback=_url, help=purpose),
        click.option("--token-file", type=FILE, help="A file with a bearer token for --prometheus. Default: none."),
        click.option("--ca-file", type=FILE, help="A CA certificate (PEM) for --prometheus. Default: the system's."),
        click.option(
            "--header",
            "headers",
            multiple=True,
            callback=_headers,
            help="A header for --prometheus, as NAME:VALUE; repeatable.",
        ),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@asynccontextmanager
async def metrics_of(state: State, chosen: SourceOptions, sources: Sequence[str]) -> AsyncIterator[Metrics]:
    """Give the Prometheus that the options of a command name, under the names of the metric sources it stands for.

    Raises:
        InvalidInput: they name none.
        MetricsError: it can't be asked, or refuses; the message names its URL.
    """
    if chosen.url is None:
        raise InvalidInput("no Prometheus is named: give its URL by --prometheus")
    wanted = PrometheusOptions(
        url=chosen.url,
        sources=sources,
        token=_content(chosen.token_file),
        ca_pem=_content(chosen.ca_file),
        headers=chosen.headers,
    )
    try:
        async with state.wiring.prometheus(wanted) as metrics:
            yield metrics
    except MetricsError as error:
        suffix = " can't be asked" if error.reason.startswith("Source") else ""
        raise MetricsError(error.reason, f"{chosen.url}{suffix}: {error}") from error


def _content(path: Path | None) -> str | None:
    return None if path is None else path.read_text(encoding="utf-8")


def _url(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.lower().startswith(("http://", "https://")):
        raise click.BadParameter(f"{value!r} is no URL: write it with http:// or https://, as in http://{value}.")
    return value


def _headers(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for value in values:
        name, colon, text = value.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter(f"{value!r} is not a header: write it as NAME:VALUE.")
        headers[name.strip()] = text.strip()
    return headers
