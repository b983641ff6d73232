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
@click.option(
    "--cluster",
    type=click.Choice(["kwok", "nodes", "kind"]),
    envvar="FORESTALL_CLUSTER",
    help="kwok (default): simulated nodes; nodes: real nodes and pods (scenarios leak and node; root on Linux); kind.",
)
@click.option("--keep", is_flag=True, help="Keep the cluster running at the end, and print how to reach and delete it.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    show_default="forestall-demo-SCENARIO.html",
    help="The HTML file for the comparison.",
)
@click.option("-o", "--output", "form", type=click.Choice(["json"]), help="Print the figures for scripts.")
@options.debug
@click.pass_obj
def demo(
    state: State, *, scenario: str, cluster: str | None, keep: bool, picture: Path | None, form: str | None
) -> int:
    """Demonstrate forestall on a local control plane, first without it, then with it.

    It runs in a checkout of the project. It exits with 0 if the objective is breached without forestall and not with
    it.
    """
    return state.wiring.demo(DemoOptions(scenario, keep, picture, as_json=form == "json", cluster=cluster or ""))
