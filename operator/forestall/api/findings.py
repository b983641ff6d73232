"""What is wrong with an object, or likely not meant so, and what to write instead."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Path = tuple[str | int, ...]
"""Where in an object: names of fields and places in lists."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that its author should know."""

    level: Literal["error", "warning"]
    """An error keeps it from doing what it says; a warning is likely not meant."""
    path: Path
    message: str
    """What is wrong, and what to write instead; a sentence without its full stop."""

    @property
    def location(self) -> str:
        """The path as people write it: `spec.actions[0].scale.maxReplicas`."""
        return written_path(self.path)

    def __str__(self) -> str:
        """Return path and message."""
        return f"{self.location}: {self.message}" if self.path else self.message


def written_path(path: Iterable[str | int]) -> str:
    """Return a field's path as people write it: `spec.actions[0].scale.maxReplicas`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")
