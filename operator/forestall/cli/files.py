"""Files that commands read and write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

FILE: Final = click.Path(path_type=Path)
"""The type of an option that names a file or a folder to read."""


def written_file(*names: str, purpose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return an option that names a file to write, with this help."""
    return click.option(*names, type=click.Path(path_type=Path, dir_okay=False), callback=_writable, help=purpose)


def _writable(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and not os.access(value.parent, os.W_OK):
        raise click.BadParameter(f"the folder {value.parent} does not exist, or can't be written to.")
    return value


report_file = written_file("--html", "report", purpose="Write an HTML report to this file. Default: none.")


def write(path: Path, text: str) -> None:
    """Write a whole file, or none."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
