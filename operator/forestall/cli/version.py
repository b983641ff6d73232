"""`forestall version`."""

from __future__ import annotations

import json
import platform

import click

from forestall import __version__
from forestall.api import API_VERSION
from forestall.cli import options


@click.command
@click.option("-o", "--output", "form", type=click.Choice(["json"]), help="Output format for scripts. Default: text.")
@options.debug
def version(form: str | None) -> None:
    """Print the version of the program and of its API."""
    if form == "json":
        click.echo(json.dumps({"version": __version__, "api": API_VERSION, "python": platform.python_version()}))
        return
    click.echo(f"forestall {__version__} ({API_VERSION}, Python {platform.python_version()})")
