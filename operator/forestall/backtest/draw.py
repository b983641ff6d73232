"""Drawings as SVG: a frame with axes, and lines, bands and marks in it.

Colours are CSS classes, so that a page or a file of its own chooses them for light and dark.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

PALETTE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2430;--soft:#5c6675;--grid:#e3e7ee;--line:#2f62c9;--cone:#2f62c9;
--limit:#b3261e;--good:#1d7f4b;--bad:#c2410c;--event:#d93a3a;--other:#8250c8}
@media(prefers-color-scheme:dark){:root{--paper:#12161d;--ink:#e2e8f1;--soft:#9aa5b5;--grid:#2a313c;--line:#7ea6ff;
--cone:#7ea6ff;--limit:#ff8b82;--good:#4cc38a;--bad:#ffa057;--event:#ff6b6b;--other:#c4a2ff}}
"""
SHAPES = """
svg{display:block;font:12px system-ui,sans-serif}svg text{fill:var(--soft)}svg .strong{fill:var(--ink);font-weight:600}
.grid{stroke:var(--grid);fill:none}.axis{stroke:var(--soft);fill:none}.value{stroke:var(--line);fill:none;stroke-width:1.5}
.came{stroke:var(--ink);fill:none;stroke-width:1.5;stroke-dasharray:1.5 3;stroke-linecap:round}
.limit{stroke:var(--limit);fill:none;stroke-width:1.3;stroke-dasharray:6 4}
.envelope{fill:var(--line);fill-opacity:.55;stroke:var(--line);stroke-width:.8}
.cone{fill:var(--cone);fill-opacity:.2;stroke:none}
.median{stroke:var(--cone);fill:none;stroke-width:1.5;stroke-dasharray:5 3}
.event{fill:var(--event);fill-opacity:.2;stroke:none}.chance{fill:var(--other);fill-opacity:.5;stroke:none}
.now{stroke:var(--soft);fill:none;stroke-dasharray:2 3}.good{fill:var(--good);stroke:var(--good)}
.bad{fill:var(--bad);stroke:var(--bad)}.open{fill:var(--soft);stroke:var(--soft)}.missed{fill:var(--event);stroke:var(--event)}
.mine{stroke:var(--line);fill:none;stroke-width:2}.theirs{stroke:var(--other);fill:none;stroke-width:1.5}
.dot{fill:var(--line)}.dot2{fill:var(--other)}.dot3{fill:var(--bad)}.needed{stroke:var(--soft);fill:none;stroke-width:1.3}
.paper{fill:var(--paper)}.over{fill:transparent}.over:hover{fill:var(--soft);fill-opacity:.18}
"""

Points = Sequence[tuple[float, float]]

_TIMES = (60, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000)


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values and where it lies in the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value; what is outside is drawn at the edge."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


@dataclass(slots=True)
class Plot:
    """A rectangle with two axes, and what is drawn in it."""

    x: Axis
    y: Axis
    parts: list[str] = field(default_factory=list)

    def line(self, points: Points, kind: str) -> None:
        """Draw a line through points; it is interrupted where a value is NaN."""
        path, pen = [], "M"
        for at, value in points:
            if math.isnan(value):
                pen = "M"
                continue
            path.append(f"{pen}{self.x(at):.1f},{self.y(value):.1f}")
            pen = "L"
        if path:
            self.parts.append(f'<path class="{kind}" d="{"".join(path)}"/>')

    def area(self, upper: Points, lower: Points, kind: str) -> None:
        """Fill between two lines of finite points."""
        ring = [*upper, *reversed(lower)]
        if ring:
            path = "L".join(f"{self.x(at):.1f},{self.y(value):.1f}" for at, value in ring)
            self.parts.append(f'<path class="{kind}" d="M{path}Z"/>')

    def level(self, value: float, kind: str, label: str = "") -> None:
        """Draw a horizontal line, labelled at its beginning."""
        y = self.y(value)
        self.parts.append(f'<path class="{kind}" d="M{self.x.start:.1f},{y:.1f}H{self.x.end:.1f}"/>')
        if label:
            self.text(self.x.start + 4, y - 4, label)

    def upright(self, at: float, kind: str) -> None:
        """Draw a vertical line."""
        self.parts.append(f'<path class="{kind}" d="M{self.x(at):.1f},{self.y.start:.1f}V{self.y.end:.1f}"/>')

    def stripe(self, first: float, last: float, kind: str, title: str = "") -> None:
        """Fill the whole height from one moment to another, at least a hair wide."""
        left, right = self.x(first), self.x(last)
        top, height = min(self.y.start, self.y.end), abs(self.y.start - self.y.end)
        self.parts.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 1.2):.1f}" '
            f'height="{height:.1f}">{_title(title)}</rect>'
        )

    def over(self, first: float, last: float, title: str) -> None:
        """Say something of the time from one moment to another to whoever points at it; it takes no script."""
        self.stripe(first, last, "over", title)

    def mark(self, at: float, y: float, kind: str, title: str, *, down: bool) -> None:
        """Draw a small triangle at a moment; `y` is a place."""
        x, tip = self.x(at), 7.0 if down else -7.0
        self.parts.append(f'<path class="{kind}" d="M{x - 4:.1f},{y:.1f}h8l-4,{tip:.1f}Z">{_title(title)}</path>')

    def dot(self, at: float, value: float, radius: float, kind: str, title: str) -> None:
        """Draw a dot."""
        self.parts.append(
            f'<circle class="{kind}" cx="{self.x(at):.1f}" cy="{self.y(value):.1f}" r="{radius:.1f}">'
            f"{_title(title)}</circle>"
        )

    def text(self, x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> None:
        """Write at a place."""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(text)}</text>'
        )

    def scale_values(self, values: Iterable[float], form: str = "{:.3g}") -> None:
        """Draw the grid of the vertical axis, and label it."""
        for value in values:
            y = self.y(value)
            self.parts.append(f'<path class="grid" d="M{self.x.start:.1f},{y:.1f}H{self.x.end:.1f}"/>')
            self.text(self.x.start - 6, y + 4, form.format(value), "end")

    def scale_shares(self, values: Iterable[float], form: str) -> None:
        """Draw the grid of the horizontal axis, and label it."""
        for value in values:
            x = self.x(value)
            self.parts.append(f'<path class="grid" d="M{x:.1f},{self.y.start:.1f}V{self.y.end:.1f}"/>')
            self.text(x, self.y.start + 16, form.format(value), "middle")

    def scale_times(self, *, most: int = 8) -> None:
        """Draw the grid of a horizontal axis of times (s, UTC), and label it."""
        span = self.x.high - self.x.low
        step = next((each for each in _TIMES if span / each <= most), _TIMES[-1])
        form = "%d %b" if step >= 86400 else "%H:%M"
        at = math.ceil(self.x.low / step) * step
        while at <= self.x.high:
            x = self.x(at)
            moment = datetime.fromtimestamp(at, UTC)
            label = moment.strftime("%d %b" if form == "%H:%M" and (moment.hour, moment.minute) == (0, 0) else form)
            self.parts.append(f'<path class="grid" d="M{x:.1f},{self.y.start:.1f}V{self.y.end:.1f}"/>')
            if self.x.start + 12 <= x <= self.x.end - 12:
                self.text(x, self.y.start + 16, label, "middle")
            at += step


_SIGNS: Final = {
    "line": '<path class="{kind}" d="M1,6H17"/>',
    "area": '<rect class="{kind}" x="2" y="1" width="14" height="10"/>',
    "dot": '<circle class="{kind}" cx="9" cy="6" r="4"/>',
    "up": '<path class="{kind}" d="M5,10h8l-4,-7Z"/>',
    "down": '<path class="{kind}" d="M5,2h8l-4,7Z"/>',
}


def sign(shape: str, kind: str) -> str:
    """Return a small sign for a legend: a line, an area, a dot, or a mark (up, down), in the style of what it
    explains."""
    drawn = _SIGNS[shape].format(kind=kind)
    return (
        '<svg class="sign" viewBox="0 0 18 12" width="18" height="12" xmlns="http://www.w3.org/2000/svg" '
        f'aria-hidden="true">{drawn}</svg>'
    )


def svg(width: float, height: float, plots: Iterable[Plot], label: str) -> str:
    """Return a drawing for a page that has the styles."""
    body = "".join("".join(plot.parts) for plot in plots)
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{html.escape(label, quote=True)}">{body}</svg>'
    )


def standalone(drawing: str) -> str:
    """Return a drawing as a file of its own: with its styles, and on paper."""
    head, rest = drawing.split(">", 1)
    return f'{head}><style>{PALETTE}{SHAPES}</style><rect width="100%" height="100%" class="paper"/>{rest}\n'


def nice(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers between two values, at most about `most` of them."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _title(text: str) -> str:
    return f"<title>{html.escape(text)}</title>" if text else ""
