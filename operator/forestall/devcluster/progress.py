"""Say what is being done and for how long: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

from forestall.devcluster.repeating import repeatedly

_SAY_AGAIN_S = 30.0


def elapsed(seconds: float) -> str:
    """Return a time span for people: ``0.4 s``, ``12 s``, ``4 min 05 s``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, seconds_left = divmod(round(seconds), 60)
    return f"{minutes} min {seconds_left:02d} s" if minutes else f"{seconds_left} s"


class ProgressStep:
    """Something that is being done now."""

    def __init__(self) -> None:
        self.detail = ""
        """What it is at, in a few words; may be changed from any thread."""
        self.left: Callable[[], str] | None = None
        """Tells how long it and all that follows will still take."""

    @property
    def text(self) -> str:
        """What is told of it now."""
        return ", ".join(part for part in (self.left() if self.left else "", self.detail) if part)


class Steps:
    """Steps that are done one after the other, on a console.

    Where the console is no terminal, a step that takes long says so now and then, so that nobody takes it for dead.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """Show a line that stays."""
        self.console.print(text, soft_wrap=True, markup=False)

    @contextmanager
    def step(self, title: str) -> Iterator[ProgressStep]:
        """Show `title` while the body runs, and then how long it took. What the body raises ends the step."""
        step, began = ProgressStep(), time.monotonic()
        live = self._live(step, title) if self.console.is_terminal else self._plain(step, title, began)
        try:
            with live:
                yield step
        except BaseException:
            self.console.print(f"[red]✗[/] {title} (gave up after {elapsed(time.monotonic() - began)})", soft_wrap=True)
            raise
        self.console.print(f"[green]✓[/] {title} ({elapsed(time.monotonic() - began)})", soft_wrap=True)

    @contextmanager
    def _live(self, step: ProgressStep, title: str) -> Iterator[None]:
        width = max(0, self.console.width - len(title) - len("⠋  0:00:00  "))
        columns = (SpinnerColumn(), "{task.description}", TimeElapsedColumn(), "[dim]{task.fields[detail]}")
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(title, total=None, detail="")
            with repeatedly(0.2, lambda: progress.update(task, detail=escape(step.text[:width]))):
                yield

    @contextmanager
    def _plain(self, step: ProgressStep, title: str, began: float) -> Iterator[None]:
        def say() -> None:
            line = f"… {title} ({elapsed(time.monotonic() - began)}) {escape(step.text)}"
            self.console.print(line.rstrip(), soft_wrap=True)

        with repeatedly(_SAY_AGAIN_S, say):
            yield
