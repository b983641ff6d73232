"""Files that commands write."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click


def writable(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    """Return the path of an option, in a folder that can be written to; for click, which calls it."""
    if value is not None and not os.access(value.parent, os.W_OK):
        raise click.BadParameter(f"the folder {value.parent} does not exist, or can't be written to.")
    return value


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
