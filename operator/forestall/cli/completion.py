"""`forestall completion`: what makes a shell complete commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from forestall.cli.app import program

SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      source <(forestall completion bash)
      source <(forestall completion zsh)
      forestall completion fish | source
    """
    click.echo(SHELLS[shell](program, {}, "forestall", "_FORESTALL_COMPLETE").source())
