"""The style sheets of charts: colors for light and dark mode, and the styles of shapes."""

from importlib.resources import files
from typing import Final


def _sheet(name: str) -> str:
    return "\n" + (files("forestall.report") / "templates" / name).read_text(encoding="utf-8")


PALETTE: Final = _sheet("palette.css")
SHAPES: Final = _sheet("shapes.css")
