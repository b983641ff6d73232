"""A report as one HTML file that needs nothing else: no network, no script, and no style outside its one sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from forestall import __version__

Legend = Sequence[tuple[Markup, str]]
"""Signs, and what each means."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that becomes a list of its rows where the page is narrow; all its cells are text."""

    head: Sequence[str]
    rows: Sequence[tuple[Sequence[str], bool]]
    """The cells of each row, and whether it stands out."""
    prose: int | None = None
    """The column with sentences."""

    @property
    def lines(self) -> list[tuple[list[tuple[str, str]], bool]]:
        """Each row as its cells beside the name of their column, and whether it stands out."""
        return [(list(zip(self.head, cells, strict=True)), stands_out) for cells, stands_out in self.rows]


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates: what is put into them is escaped, and a name that nobody gave is an error."""
    made = Environment(
        loader=PackageLoader("forestall.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["version"] = __version__
    return made


def render(template: str, *, title: str, command: str = "", **values: object) -> str:
    """Return a page. `template` is a file that extends `page.html`; `command` is the command line that made it.

    Raises:
        jinja2.UndefinedError: the template shows a value that was not given.
    """
    return environment().get_template(template).render(title=title, command=command, **values)
