"""`forestall demo`: what forestall does, on a control plane of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forestall.cli import options
from forestall.cli.wiring import DemoOptions

if TYPE_CHECKING:
    from forestall.cli.app import State


@click.command
@click.option(
    "--scenario",
    type=click.Choice(["surge", "leak", "node"]),
    default="surge",
    show_default=True,
    help="surge: traffic rises, scale; leak: memory grows, restart; node: a disk fills, cordon.",
)
@click.option("--keep", is_flag=True, help="Leave the cluster running at the end, and say how to reach and remove it.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    show_default="forestall-demo-SCENARIO.html",
    help="The HTML file that the comparison is drawn into.",
)
@click.option("-o", "--output", "form", type=click.Choice(["json"]), help="Write the figures for programs.")
@options.debug
@click.pass_obj
def demo(state: State, *, scenario: str, keep: bool, picture: Path | None, form: str | None) -> int:
    """Show on a local control plane what forestall does, first without it, then with it.

    It runs in a checkout of the project. The exit code is 0 when the objective broke without forestall and not with it.
    """
    return state.wiring.demo(DemoOptions(scenario, keep, picture, as_json=form == "json"))
