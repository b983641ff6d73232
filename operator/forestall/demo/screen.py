"""The output of the demo: live on a terminal, otherwise plain lines with the elapsed time."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from forestall.core.precision import passes
from forestall.demo.scenarios import OBJECTIVE, Scenario
from forestall.demo.watcher import RunEvent, RunRecording, RunSnapshot
from forestall.devcluster.progress import elapsed

_BLOCKS = " ▁▂▃▄▅▆▇█"
_LABELS_WIDTH = 50
_MAX_EVENTS = 7
_PRINT_INTERVAL_S = 5.0
_STYLES = {"act": "bold cyan", "decision": "default", "end": "green", "release": "bold yellow", "loss": "bold red"}
_MARKS = {"act": "▶", "decision": "·", "end": "■", "release": "⬆", "loss": "✖"}


class Screen:
    """Shows the runs of one scenario."""

    def __init__(self, console: Console, scenario: Scenario) -> None:
        self._console = console
        self.scenario = scenario
        self._began = time.monotonic()

    def print_line(self, text: str, style: str = "") -> None:
        """Print a line, with the elapsed time unless the console is a terminal."""
        stamp = "" if self._console.is_terminal else f"[{elapsed(time.monotonic() - self._began)}] "
        self._console.print(Text(stamp + text, style), soft_wrap=True)

    @contextmanager
    def run(self, title: str, record: RunRecording) -> Iterator[Callable[[RunSnapshot], None]]:
        """Show a run during the body, which calls the yielded function with each snapshot."""
        if self._console.is_terminal:
            with Live(console=self._console, auto_refresh=False, transient=False) as live:
                yield lambda snapshot: live.update(self._picture(title, record, snapshot), refresh=True)
        else:
            self.print_line(title)
            yield self._lines()

    def _lines(self) -> Callable[[RunSnapshot], None]:
        printed_at = -math.inf

        def show(snapshot: RunSnapshot) -> None:
            nonlocal printed_at
            for event in snapshot.events:
                self.print_line(f"{self.scenario.clock(event.at)} {_MARKS[event.kind]} {event.text}")
            if snapshot.at - printed_at >= _PRINT_INTERVAL_S:
                printed_at = snapshot.at
                self.print_line(f"{self.scenario.clock(snapshot.at)} {_sentence(snapshot)}")

        return show

    def _picture(self, title: str, record: RunRecording, snapshot: RunSnapshot) -> RenderableType:
        width = max(20, min(100, self._console.width - _LABELS_WIDTH - 6))
        played = min(max(snapshot.at, 0.0) / self.scenario.duration, 1.0)
        head = Text.assemble(
            (f" {self.scenario.clock(snapshot.at)} ", "reverse bold"),
            f"  {self.scenario.story}  ({played:.0%} of the run)",
        )
        parts: list[RenderableType] = [head, Text(), self._curves(record, width)]
        if snapshot.objective is not None:
            parts += [Text(), _forecast(snapshot)]
        if events := record.events[-_MAX_EVENTS:]:
            parts += [Text(), *(self._event_text(event) for event in events)]
        return Panel(Group(*parts), title=title, title_align="left")

    def _curves(self, record: RunRecording, width: int) -> Table:
        rows = Table.grid(padding=(0, 1))
        snapshots = record.snapshots
        now = snapshots[-1].shop

        def row(name: str, key: str, value: str, maximum: float | None = None) -> None:
            values = self._resample([(snapshot.at, snapshot.shop.get(key)) for snapshot in snapshots], width)
            rows.add_row(name, _curve(values, maximum, bad=key == "good"), value)

        row("requests a second", "load", _number(now.get("load")))
        row(f"good (objective: {OBJECTIVE:g} %)", "good", _percent(now.get("good")), 1.0)
        row("latency, 95 % below", "p95", _milliseconds(now.get("p95")), 2.0)
        row("pods ready", "ready", f"{_number(now.get('ready'))}{_starting(now.get('starting'))}", 10.0)
        scenario, value = self.scenario, now.get(self.scenario.indicator)
        limit = f"{'-' if value is None else f'{value:.3g}'} (limit {scenario.limit:g})"
        row(f"{scenario.indicator}, {scenario.unit}", scenario.indicator, limit, scenario.limit)
        return rows

    def _resample(self, points: Sequence[tuple[float, float | None]], width: int) -> list[float]:
        """Return one value for each of `width` columns over the whole run; NaN where there is none."""
        columns = [math.nan] * width
        for at, value in points:
            if 0 <= at <= self.scenario.duration and value is not None:
                columns[min(width - 1, int(at / self.scenario.duration * width))] = value
        last = max((n for n, value in enumerate(columns) if not math.isnan(value)), default=-1)
        for n in range(1, last):
            if math.isnan(columns[n]):
                columns[n] = columns[n - 1]
        return columns

    def _event_text(self, event: RunEvent) -> Text:
        text = Text(f"{self.scenario.clock(event.at)} {_MARKS[event.kind]} {event.text}", _STYLES[event.kind])
        text.truncate(max(40, 2 * (self._console.width - 4)), overflow="ellipsis")
        return text


def _curve(values: Sequence[float], maximum: float | None, *, bad: bool) -> Text:
    top = maximum or max((value for value in values if not math.isnan(value)), default=1.0) or 1.0
    curve = Text()
    for value in values:
        if math.isnan(value):
            curve.append(" ")
            continue
        block = _BLOCKS[max(1, min(8, round(value / top * 8)))]
        missed = passes(value, OBJECTIVE / 100, above=False)
        curve.append(block, ("red" if missed else "green") if bad else "blue")
    return curve


def _forecast(snapshot: RunSnapshot) -> RenderableType:
    objective = snapshot.objective
    if objective is None:
        return Text()
    status, cause = objective.status, objective.status.cause
    if status.state is None or cause is None or not status.breach_probability:
        return Text("forestall: no forecast yet", "dim")
    style = {"Healthy": "green", "Exhausted": "magenta", "AtRisk": "yellow", "Breached": "red"}.get(status.state, "dim")
    labels = "".join(f" of {name} {value}" for name, value in cause.labels.items())
    line = Text.assemble(
        "forestall: ", (status.state, f"bold {style}"), f"  {cause.indicator}{labels} is {cause.value}, "
    )
    line.append(f"forecast up to {cause.forecast}, limit {cause.limit}\n")
    share = _share(status.breach_probability)
    line.append("breach probability ").append("█" * round(share * 30), style).append(
        "░" * (30 - round(share * 30)), "dim"
    )
    line.append(f" {status.breach_probability}")
    if cause.time_to_breach:
        line.append(f", likely in {cause.time_to_breach}")
    if cause.time_to_breach_bounds:
        line.append(f" ({cause.time_to_breach_bounds})", "dim")
    return line


def _sentence(snapshot: RunSnapshot) -> str:
    now = snapshot.shop
    text = (
        f"{_number(now.get('load'))} requests/s, {_percent(now.get('good'))} good, "
        f"95 % within {_milliseconds(now.get('p95'))}, "
        f"{_number(now.get('ready'))} pods ready{_starting(now.get('starting'))}"
    )
    if snapshot.objective is not None and snapshot.objective.status.breach_probability:
        status = snapshot.objective.status
        soon = f" in {status.time_to_breach}" if status.time_to_breach else ""
        text += f"; {status.state}, breach {status.breach_probability}{soon}"
    return text


def _share(percent: str) -> float:
    """Return the share of a percentage in a status, such as `83%` or `<1%`."""
    try:
        return min(1.0, max(0.0, float(percent.strip("<>%")) / 100))
    except ValueError:
        return 0.0


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _percent(share: float | None) -> str:
    # Rounded down, so that only a full share is 100 %.
    return "-" if share is None else f"{math.floor(share * 100)} %"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value * 1000:.0f} ms"


def _starting(pods: float | None) -> str:
    return f" + {pods:.0f} starting" if pods else ""
