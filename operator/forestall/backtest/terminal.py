"""A forecast as a chart of characters, for terminals."""

import math
from datetime import UTC, datetime

import numpy as np

from forestall.backtest.charts import ForecastMoment
from forestall.core.duration import format_duration
from forestall.core.precision import passes
from forestall.report.chart import round_values
from forestall.report.formatting import clock

_HEIGHT = 16
_MARGIN = 9
_MINUTES = 600.0
"""Range (s) from which labels in minutes are distinct."""
LEGEND = "● past values   ░ 90 % bounds of the future extreme   ─ its median   · actual values   ┄ limit"


def terminal_chart(moment: ForecastMoment, width: int) -> list[str]:
    """Return lines of at most `width` characters: past values, cone, actual values, and limit."""
    columns = max(30, width - _MARGIN - 1)
    start, end = float(moment.times[0]), moment.end
    times = start + (end - start) * (np.arange(columns) + 0.5) / columns
    cone = np.array(moment.cone())
    ahead = times - moment.at
    in_cone = (ahead >= 0) & (ahead <= cone[-1, 0])
    lower, median, upper = (np.where(in_cone, np.interp(ahead, cone[:, 0], cone[:, n]), np.nan) for n in (1, 2, 3))
    finite = moment.values[np.isfinite(moment.values) & (moment.times <= end)]
    low = min(*finite.tolist(), moment.limit, float(np.nanmin(lower)), float(np.nanmin(upper)))
    high = max(*finite.tolist(), moment.limit, float(np.nanmax(lower)), float(np.nanmax(upper)))
    margin = 0.05 * (high - low) or 1.0
    low, high = low - margin, high + margin

    def row(value: float) -> int:
        return min(_HEIGHT - 1, max(0, int((high - value) / (high - low) * _HEIGHT)))

    canvas = [[" "] * columns for _ in range(_HEIGHT)]
    for column in np.flatnonzero(in_cone).tolist():
        for line in range(row(float(upper[column])), row(float(lower[column])) + 1):
            canvas[line][column] = "░"
        canvas[row(float(median[column]))][column] = "─"
    limit = row(moment.limit)
    canvas[limit] = ["┄" if cell != "─" else cell for cell in canvas[limit]]
    for at, value in zip(moment.times.tolist(), moment.values.tolist(), strict=True):
        if at <= end and math.isfinite(value):
            column = min(columns - 1, int((at - start) / (end - start) * columns))
            canvas[row(value)][column] = "●" if at <= moment.at else "·"
    labels = {row(value): f"{value:.3g}" for value in round_values(low, high, 5)}
    body = [f"{labels.get(line, ''):>{_MARGIN - 2}} │{''.join(cells)}".rstrip() for line, cells in enumerate(canvas)]
    return [_headline(moment), "", *body, _times(moment, start, end, columns), LEGEND]


def _headline(moment: ForecastMoment) -> str:
    forecast = moment.forecast
    if forecast.abstained is not None:
        return f"{moment.title} at {clock(moment.at)}: no forecast ({forecast.abstained})"
    if passes(forecast.last, moment.limit, above=moment.above):
        return f"{moment.title} at {clock(moment.at)} UTC: is past its limit of {moment.limit:.4g} already"
    probability = forecast.probability_within(moment.horizon)
    near = forecast.time_to_breach <= moment.horizon
    soon = f", likely in {format_duration(forecast.time_to_breach)}" if near else ""
    return (
        f"{moment.title} at {clock(moment.at)} UTC: passes {moment.limit:.4g} within "
        f"{format_duration(moment.horizon)} with a probability of {probability:.0%}{soon}"
    )


def _times(moment: ForecastMoment, start: float, end: float, columns: int) -> str:
    line = [" "] * (columns + _MARGIN)
    form = "%H:%M" if end - start >= _MINUTES else "%H:%M:%S"
    for at in (start, moment.at, moment.at + moment.horizon):
        text = datetime.fromtimestamp(at, UTC).strftime(form)
        column = min(_MARGIN + int((at - start) / (end - start) * columns), len(line) - len(text))
        line[column : column + len(text)] = text
    return "".join(line).rstrip()
