"""Drawings as SVG: a frame with axes, and lines, bands and marks in it.

Colours are CSS classes, so that a page or a file of its own chooses them for light and dark.
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
    parts: list[Markup] = field(default_factory=list)

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

    def level(self, value: float, kind: str, label: str = "") -> None:
        """Draw a horizontal line, labelled at its beginning."""
        y = self.y(value)
        self._path(kind, f"M{self.x.start:.1f},{y:.1f}H{self.x.end:.1f}")
        if label:
            self.text(self.x.start + 4, y - 4, label)

    def upright(self, at: float, kind: str, title: str = "") -> None:
        """Draw a vertical line."""
        self._path(kind, f"M{self.x(at):.1f},{self.y.start:.1f}V{self.y.end:.1f}", title)

    def stripe(self, first: float, last: float, kind: str, title: str = "") -> None:
        """Fill the whole height from one moment to another, at least a hair wide."""
        left, right = self.x(first), self.x(last)
        top, height = min(self.y.start, self.y.end), abs(self.y.start - self.y.end)
        self.parts.append(_RECT % (kind, left, top, max(right - left, 1.2), height, _title(title)))

    def over(self, first: float, last: float, title: str) -> None:
        """Say something of the time from one moment to another to whoever points at it; it takes no script."""
        self.stripe(first, last, "over", title)

    def mark(self, at: float, y: float, kind: str, title: str, *, down: bool) -> None:
        """Draw a small triangle at a moment; `y` is a place."""
        x, tip = self.x(at), 7.0 if down else -7.0
        self._path(kind, f"M{x - 4:.1f},{y:.1f}h8l-4,{tip:.1f}Z", title)

    def dot(self, at: float, value: float, radius: float, kind: str, title: str) -> None:
        """Draw a dot."""
        self.parts.append(_DOT % (kind, self.x(at), self.y(value), radius, _title(title)))

    def text(self, x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> None:
        """Write at a place."""
        self.parts.append(_TEXT % (x, y, anchor, kind, text))

    def legend(self, left: float, y: float, entries: Iterable[tuple[str, str, str]]) -> None:
        """Explain lines and areas at a place: of each the shape (line, area), its style and its meaning."""
        for shape, kind, meaning in entries:
            self._path(kind, f"M{left:.0f},{y}h22" if shape == "line" else f"M{left:.0f},{y - 6}h22v12h-22Z")
            self.text(left + 28, y + 4, meaning)
            left += 52 + 6.6 * len(meaning)

    def tick_y(self, value: float, label: str, *, grid: bool = True) -> None:
        """Label a value on the vertical axis, with a line of the grid."""
        y = self.y(value)
        if grid:
            self._path("grid", f"M{self.x.start:.1f},{y:.1f}H{self.x.end:.1f}")
        self.text(self.x.start - 6, y + 4, label, "end")

    def tick_x(self, value: float, label: str, anchor: str = "middle", *, grid: bool = True) -> None:
        """Label a value on the horizontal axis, with a line of the grid; an empty label is left out."""
        x = self.x(value)
        if grid:
            self._path("grid", f"M{x:.1f},{self.y.start:.1f}V{self.y.end:.1f}")
        if label:
            self.text(x, self.y.start + 16, label, anchor)

    def scale_values(self, values: Iterable[float], form: str = "{:.3g}") -> None:
        """Draw the grid of the vertical axis, and label it."""
        for value in values:
            self.tick_y(value, form.format(value))

    def scale_shares(self, values: Iterable[float], form: str) -> None:
        """Draw the grid of the horizontal axis, and label it."""
        for value in values:
            self.tick_x(value, form.format(value))

    def scale_times(self, *, most: int = 8) -> None:
        """Draw the grid of a horizontal axis of times (s, UTC), and label it."""
        span = self.x.high - self.x.low
        step = next((each for each in _TIMES if span / each <= most), _TIMES[-1])
        form = "%d %b" if step >= 86400 else "%H:%M"
        at = math.ceil(self.x.low / step) * step
        while at <= self.x.high:
            moment = datetime.fromtimestamp(at, UTC)
            label = moment.strftime("%d %b" if form == "%H:%M" and (moment.hour, moment.minute) == (0, 0) else form)
            inside = self.x.start + 12 <= self.x(at) <= self.x.end - 12
            self.tick_x(at, label if inside else "")
            at += step

    def _path(self, kind: str, path: str, title: str = "") -> None:
        self.parts.append(_TITLED % (kind, path, _title(title)) if title else _PATH % (kind, path))


def sign(shape: str, kind: str) -> Markup:
    """Return a small sign for a legend: a line, an area, a dot, or a mark (up, down), in the style of what it
    explains."""
    return _SIGN % (_SIGNS[shape] % kind)


def svg(width: float, height: float, plots: Iterable[Plot], label: str) -> Markup:
    """Return a drawing for a page that has the styles."""
    return _SVG % (width, height, label, Markup("").join(part for plot in plots for part in plot.parts))


def standalone(drawing: Markup) -> str:
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


def _title(text: str) -> Markup:
    return _TITLE % text if text else Markup("")
