"""How commands write: pages and tables for people, documents for programs.

Colour and fitting to the width are for terminals only. Everything else gets plain lines that never wrap and never
change with the width, so that they can be cut and grepped.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

import yaml
from rich.console import Console
from rich.text import Text

from forestall.core.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_GAP: Final = 3
_WIDEST: Final = 110


def console(file: TextIO | None = None) -> Console:
    """Return where a command writes to: standard output by default."""
    return Console(file=file or sys.stdout, highlight=False, markup=False, emoji=False)


class Page:
    """Prose in sections."""

    def __init__(self, out: Console) -> None:
        self.out = out

    def title(self, left: str, right: str, style: str = "") -> None:
        """Write the first line: what it is about, and how it stands."""
        self._line(Text.assemble((printable(left), "bold"), "   ", (printable(right), style)), 0, 0)

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._line(Text(""), 0, 0)
        self._line(Text(printable(text), "bold"), 0, 0)

    def say(self, text: str, *, indent: int = 2, style: str = "") -> None:
        """Write a paragraph."""
        self._line(Text(printable(text), style), indent, indent)

    def item(self, mark: str, text: str, *, style: str = "", indent: int = 2) -> None:
        """Write a paragraph behind a mark."""
        line = Text.assemble((mark, style), "  ", printable(text))
        self._line(line, indent, indent + len(mark) + 2)

    def _line(self, text: Text, first: int, following: int) -> None:
        if not self.out.is_terminal:
            lines = [text]
        else:
            lines = list(text.wrap(self.out, max(min(self.out.width, _WIDEST) - following, 20))) or [text]
        for number, line in enumerate(lines):
            line.rstrip()
            self.out.print(Text(" " * (following if number else first)) + line, soft_wrap=True)


def table(out: Console, head: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]]) -> None:
    """Write rows of (text, style) in columns, as kubectl does.

    On a terminal a line that is too long for it loses its end; the last columns should be the least needed ones.
    """
    cells = [[(title, "") for title in head]]
    cells += [[(" ".join(printable(text).split()), style) for text, style in row] for row in rows]
    widths = [max(len(row[column][0]) for row in cells) for column in range(len(head))]
    for row in cells:
        line = Text()
        for (text, style), width in zip(row, widths, strict=True):
            line.append(text, style).append(" " * (width - len(text) + _GAP))
        line.rstrip()
        if out.is_terminal:
            line.truncate(out.width, overflow="ellipsis")
        out.print(line, soft_wrap=True)


def document(body: Mapping[str, Any], form: str) -> str:
    """Return `body` as `json` or `yaml`."""
    if form == "json":
        return json.dumps(body, indent=2, ensure_ascii=False)
    text: str = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120)
    return text.rstrip("\n")


def listing(items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return objects as a List, in the form of `kubectl get -o json`."""
    return {"apiVersion": "v1", "kind": "List", "items": [without_managers(item) for item in items]}


def without_managers(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without its managed fields, which are noise to most readers."""
    metadata = {key: value for key, value in body.get("metadata", {}).items() if key != "managedFields"}
    return {**body, "metadata": metadata}
