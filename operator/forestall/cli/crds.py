"""`forestall crds`: the CustomResourceDefinitions, as they are generated from the models."""

from __future__ import annotations

from pathlib import Path

import click

from forestall.api import KINDS
from forestall.api.crd import render
from forestall.cli import options


@click.command
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write one file per kind into this folder. Default: print all.",
)
@options.debug
def crds(folder: Path | None) -> None:
    """Print the CustomResourceDefinitions.

    \b
    Example:
      forestall crds | kubectl apply --server-side -f -
    """
    if folder is None:
        click.echo("---\n".join(render(kind) for kind in KINDS), nl=False)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        path = folder / f"{kind.PLURAL}.yaml"
        path.write_text(render(kind), encoding="utf-8")
        click.echo(path)
