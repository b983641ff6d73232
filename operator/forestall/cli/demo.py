"""`forestall demo`: what forestall does, on a control plane of its own."""

from __future__ import annotations

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
@options.debug
@click.pass_obj
def demo(state: State, *, scenario: str, keep: bool) -> int:
    """Show on a local control plane what forestall does, first without it, then with it."""
    return state.wiring.demo(DemoOptions(scenario, keep))
