"""SVG charts: axes, lines, areas and marks.

Colors are CSS classes, which a page or a standalone file defines for light and dark mode.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from forestall.report.style import PALETTE, SHAPES

Points = Sequence[tuple[float, float]]

# Markup escapes what is put into it; `%` takes a third of the time of `format`.
_PATH: Final = Markup('<path class="%s" d="%s"/>')
_TITLED: Final = Markup('<path class="%s" d="%s">%s</path>')
_RECT: Final = Markup('<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f">%s</rect>')
_DOT: Final = Markup('<circle class="%s" cx="%.1f" cy="%.1f" r="%.1f">%s</circle>')
_TEXT: Final = Markup('<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>')
_TITLE: Final = Markup("<title>%s</title>")
_SVG: Final = Markup('<svg viewBox="0 0 %g %g" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="%s">%s</svg>')
_SIGN: Final = Markup(
    '<svg class="sign" viewBox="0 0 18 12" width="18" height="12" xmlns="http://www.w3.org/2000/svg" '
    'aria-hidden="true">%s</svg>'
)
_SIGNS: Final = {
    "line": Markup('<path class="%s" d="M1,6H17"/>'),
    "area": Markup('<rect class="%s" x="2" y="1" width="14" height="10"/>'),
    "dot": Markup('<circle class="%s" cx="9" cy="6" r="4"/>'),
    "up": Markup('<path class="%s" d="M5,10h8l-4,-7Z"/>'),
    "down": Markup('<path class="%s" d="M5,2h8l-4,7Z"/>'),
}
_TIMES = (60, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000)


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values and its position in the chart."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of a value; a value outside the range is at the edge."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


@dataclass(slots=True)
class Plot:
    """A rectangle with two axes and its content."""

    x: Axis
    y: Axis
    parts: list[Markup] = field(default_factory=list)

    def line(self, points: Points, kind: str) -> None:
        """Draw a line through points, with a gap at each NaN."""
        path, pen = [], "M"
        for at, value in points:
            if math.isnan(value):
                pen = "M"
                continue
            path.append(f"{pen}{self.x(at):.1f},{self.y(value):.1f}")
            pen = "L"
        if path:
            self._path(kind, "".join(path))

    def area(self, upper: Points, lower: Points, kind: str) -> None:
        """Fill between two lines of finite points."""
        ring = [*upper, *reversed(lower)]
        if ring:
            path = "L".join(f"{self.x(at):.1f},{self.y(value):.1f}" for at, value in ring)
            self._path(kind, f"M{path}Z")

    def frame(self) -> None:
        """Draw the two axes."""
        self._path("axis", f"M{self.x.start:.1f},{self.y.end:.1f}V{self.y.start:.1f}H{self.x.end:.1f}")

    def horizontal_line(self, value: float, kind: str, label: str = "") -> None:
        """Draw a horizontal line with a label at its start."""
        y = self.y(value)
        self._path(kind, f"M{self.x.start:.1f},{y:.1f}H{self.x.end:.1f}")
        if label:
            self.text(self.x.start + 4, y - 4, label)

    def vertical_line(self, at: float, kind: str, title: str = "") -> None:
        """Draw a vertical line."""
        self._path(kind, f"M{self.x(at):.1f},{self.y.start:.1f}V{self.y.end:.1f}", title)

    def band(self, first: float, last: float, kind: str, title: str = "") -> None:
        """Fill the whole height from one time to another, with a minimum width."""
        left, right = self.x(first), self.x(last)
        top, height = min(self.y.start, self.y.end), abs(self.y.start - self.y.end)
        self.parts.append(_RECT % (kind, left, top, max(right - left, 1.2), height, _title(title)))

    def tooltip(self, first: float, last: float, title: str) -> None:
        """Add a tooltip from one time to another; it needs no script."""
        self.band(first, last, "over", title)

    def triangle(self, at: float, y: float, kind: str, title: str, *, down: bool) -> None:
        """Draw a small triangle at a time; `y` is a position."""
        x, tip = self.x(at), 7.0 if down else -7.0
        self._path(kind, f"M{x - 4:.1f},{y:.1f}h8l-4,{tip:.1f}Z", title)

    def dot(self, at: float, value: float, radius: float, kind: str, title: str) -> None:
        """Draw a dot."""
        self.parts.append(_DOT % (kind, self.x(at), self.y(value), radius, _title(title)))

    def text(self, x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> None:
        """Write at a position."""
        self.parts.append(_TEXT % (x, y, anchor, kind, text))

    def legend(self, left: float, y: float, entries: Iterable[tuple[str, str, str]]) -> None:
        """Draw a legend at a position: the shape (line, area), style and meaning of each entry."""
        for shape, kind, meaning in entries:
            self._path(kind, f"M{left:.0f},{y}h22" if shape == "line" else f"M{left:.0f},{y - 6}h22v12h-22Z")
            self.text(left + 28, y + 4, meaning)
            left += 52 + 6.6 * len(meaning)

    def tick_y(self, value: float, label: str, *, grid: bool = True) -> None:
        """Label a value on the vertical axis, with a grid line."""
        y = self.y(value)
        if grid:
            self._path("grid", f"M{self.x.start:.1f},{y:.1f}H{self.x.end:.1f}")
        self.text(self.x.start - 6, y + 4, label, "end")

    def tick_x(self, value: float, label: str, anchor: str = "middle", *, grid: bool = True) -> None:
        """Label a value on the horizontal axis, with a grid line; an empty label is left out."""
        x = self.x(value)
        if grid:
            self._path("grid", f"M{x:.1f},{self.y.start:.1f}V{self.y.end:.1f}")
        if label:
            self.text(x, self.y.start + 16, label, anchor)

    def scale_values(self, values: Iterable[float], form: str = "{:.3g}") -> None:
        """Draw the grid and the labels of the vertical axis."""
        for value in values:
            self.tick_y(value, form.format(value))

    def scale_shares(self, values: Iterable[float], form: str) -> None:
        """Draw the grid and the labels of the horizontal axis."""
        for value in values:
            self.tick_x(value, form.format(value))

    def scale_times(self, *, max_ticks: int = 8) -> None:
        """Draw the grid and the labels of a horizontal axis of times (s, UTC)."""
        span = self.x.high - self.x.low
        step = next((seconds for seconds in _TIMES if span / seconds <= max_ticks), _TIMES[-1])
        form = "%d %b" if step >= 86400 else "%H:%M"
        at = math.ceil(self.x.low / step) * step
        while at <= self.x.high:
            moment = datetime.fromtimestamp(at, UTC)
            label = moment.strftime("%d %b" if form == "%H:%M" and (moment.hour, moment.minute) == (0, 0) else form)
            is_inside = self.x.start + 12 <= self.x(at) <= self.x.end - 12
            self.tick_x(at, label if is_inside else "")
            at += step

    def _path(self, kind: str, path: str, title: str = "") -> None:
        self.parts.append(_TITLED % (kind, path, _title(title)) if title else _PATH % (kind, path))


def legend_sign(shape: str, kind: str) -> Markup:
    """Return a small sign for a legend: a line, an area, a dot, or a mark (up, down), in the given style."""
    return _SIGN % (_SIGNS[shape] % kind)


def svg(width: float, height: float, plots: Iterable[Plot], label: str) -> Markup:
    """Return an SVG element for a page that has the styles."""
    return _SVG % (width, height, label, Markup("").join(part for plot in plots for part in plot.parts))


def standalone(drawing: Markup) -> str:
    """Return an SVG file, with its styles and a background."""
    head, body = drawing.split(">", 1)
    return f'{head}><style>{PALETTE}{SHAPES}</style><rect width="100%" height="100%" class="paper"/>{body}\n'


def round_values(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round numbers between two values."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _title(text: str) -> Markup:
    return _TITLE % text if text else Markup("")
