"""A report as one self-contained HTML file: no network, no scripts, no external styles."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from forestall import __version__

Legend = Sequence[tuple[Markup, str]]
"""Signs and their meanings."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text cells; on narrow pages its rows become lists."""

    head: Sequence[str]
    rows: Sequence[tuple[Sequence[str], bool]]
    """The cells of each row, and whether it is highlighted."""
    prose: int | None = None
    """Index of the column with sentences."""

    @property
    def lines(self) -> list[tuple[list[tuple[str, str]], bool]]:
        """Each row as pairs of column name and cell, and whether it is highlighted."""
        return [(list(zip(self.head, cells, strict=True)), is_highlighted) for cells, is_highlighted in self.rows]


@lru_cache(maxsize=1)
def template_environment() -> Environment:
    """Return the template environment: values are escaped, and an undefined name is an error."""
    environment = Environment(
        loader=PackageLoader("forestall.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["version"] = __version__
    return environment


def render(template: str, *, title: str, command: str = "", **values: object) -> str:
    """Return a page. `template` is a file that extends `page.html`; `command` is the command line that wrote it.

    Raises:
        jinja2.UndefinedError: a value of the template is missing.
    """
    return template_environment().get_template(template).render(title=title, command=command, **values)
