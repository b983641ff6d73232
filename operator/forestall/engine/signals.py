"""From readings to signals: every series with its forecast."""

import math
from collections.abc import Iterable, Mapping, Sequence

from forestall.core.forecast import BreachForecaster, ForecastTable, Limit
from forestall.core.risk import Signal
from forestall.core.series import SeriesMatrix
from forestall.engine.observe import Reading
from forestall.engine.settings import Settings


class Forecasting:
    """The matrix of all series and the forecaster that learns from it."""

    def __init__(self, settings: Settings) -> None:
        self.matrix = SeriesMatrix(settings.interval, settings.columns)
        self._forecaster = BreachForecaster(self.matrix, settings.horizons)

    def forecast(self, readings: Mapping[str, Sequence[Reading]], now: float) -> dict[str, tuple[Signal, ...]]:
        """Learn from the newest column, and return the signals of every objective."""
        self._forecaster.set_limits(
            {
                reading.watched.key(labels): Limit(
                    reading.watched.limit, reading.watched.above, reading.watched.long_trend
                )
                for some in readings.values()
                for reading in some
                for labels in reading.values
            }
        )
        self._forecaster.update(now)
        table = self._forecaster.forecast(now)
        return {uid: tuple(_signals(some, table)) for uid, some in readings.items()}

    def censor(self, objective: str, since: float, until: float) -> None:
        """Mark a window in which an action changed what would have happened to an objective's series."""
        for key in self.matrix.rows:
            if isinstance(key, tuple) and key[0] == objective:
                self._forecaster.mark_censored(key, since, until)


def _signals(readings: Iterable[Reading], table: ForecastTable) -> Iterable[Signal]:
    for reading in readings:
        watched = reading.watched
        for labels, value in reading.values.items():
            key = watched.key(labels)
            yield Signal(
                indicator=watched.indicator,
                labels=labels,
                value=value,
                limit=watched.limit,
                above=watched.above,
                horizon=watched.horizon,
                sampled_at=reading.sampled_at,
                fresh=reading.fresh,
                forecast=table.at(key) if key in table else None,
            )
        if not reading.values:
            yield Signal(
                indicator=watched.indicator,
                labels=(),
                value=math.nan,
                limit=watched.limit,
                above=watched.above,
                horizon=watched.horizon,
                sampled_at=reading.sampled_at,
                fresh=False,
                forecast=None,
            )
