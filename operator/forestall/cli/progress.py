"""How far a long command is, on a terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from forestall.cli.output import console

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Show how far it is, on a terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console(sys.stderr),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        yield bar
