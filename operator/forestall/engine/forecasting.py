"""Turns readings into signals: each series with its forecast."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from forestall.core.forecast import BreachForecaster, ForecastTable, Limit
from forestall.core.precision import MAX_VALUE
from forestall.core.risk import Signal
from forestall.core.series import SeriesMatrix
from forestall.engine.readings import Reading
from forestall.engine.settings import Settings
from forestall.isolation import ErrorIsolation, ends_process

Limits = Mapping[Hashable, Limit]


class Forecasting:
    """Holds the matrix of all series, and the forecaster that is trained on it."""

    def __init__(self, settings: Settings, isolation: ErrorIsolation | None = None) -> None:
        self.matrix = SeriesMatrix(settings.interval, settings.columns)
        self.failures: dict[str, str] = {}
        """By objective (UID): the message why there is no forecast after an unexpected error."""
        self._horizons = settings.horizons
        self._forecaster = BreachForecaster(self.matrix, settings.horizons)
        self._isolation = isolation or ErrorIsolation()
        self._rows: dict[Hashable, list[Hashable]] | None = None  # the series of each objective, where they were sought
        self._excluded: dict[str, Limits] = {}  # by UID: the limits with which an objective made the forecast fail

    def forecast(self, readings: Mapping[str, Sequence[Reading]], now: float) -> dict[str, tuple[Signal, ...]]:
        """Update the forecaster with the newest column, and return the signals of every objective.

        All series are forecast in one batch. Where that fails, the objectives that cause the failure are found and left
        out.
        """
        self.failures = {}
        self._rows = None
        limits = {uid: _limits(readings_of_objective) for uid, readings_of_objective in readings.items()}
        self._excluded = {
            uid: excluded_limits
            for uid, excluded_limits in self._excluded.items()
            if limits.get(uid, excluded_limits) == excluded_limits
        }
        table = self._table(limits, now)
        if table is None:
            # What it had learned may be half of it.
            self._forecaster = BreachForecaster(self.matrix, self._horizons, remembered=self._forecaster.remembered)
            self._excluded |= {uid: limits[uid] for uid in self._culprits(limits, sorted(limits), now)}
            table = self._table(limits, now)
        signals = {}
        for uid, readings_of_objective in readings.items():
            with self._isolation.attempt("forecasting", f"objective {uid}") as attempt:
                signals[uid] = tuple(_signals(readings_of_objective, None if uid in self._excluded else table))
            if attempt.failure is not None:
                signals[uid] = ()
                self.failures[uid] = attempt.failure
        message = "an unexpected error while forecasting; the operator's log has the traceback"
        self.failures |= dict.fromkeys(self._excluded.keys() & readings.keys(), message)
        return signals

    def remember(self, key: Hashable, times: Sequence[float], values: Sequence[float], limit: Limit) -> None:
        """Learn when a series passed its limit in weeks that the matrix does not hold; see `BreachForecaster`."""
        if abs(limit.value) <= MAX_VALUE:
            self._forecaster.remember(key, times, values, limit)

    def _table(self, limits: Mapping[str, Limits], now: float) -> ForecastTable | None:
        if self._excluded:
            self.matrix.retain(key for key in self.matrix.rows if key[0] not in self._excluded)
        with self._isolation.attempt("forecasting", "all series"):
            return _forecast(
                self._forecaster,
                (limits_of_objective for uid, limits_of_objective in limits.items() if uid not in self._excluded),
                now,
            )
        return None

    def _culprits(self, limits: Mapping[str, Limits], among: Sequence[str], now: float) -> list[str]:
        """Return the objectives whose series make a forecast fail, found by bisection."""
        if not among or not self._fails([limits[uid] for uid in among], now):
            return []
        if len(among) == 1:
            return list(among)
        half = len(among) // 2
        return [*self._culprits(limits, among[:half], now), *self._culprits(limits, among[half:], now)]

    def _fails(self, limits: Sequence[Limits], now: float) -> bool:
        part = self.matrix.subset(key for limits_of_objective in limits for key in limits_of_objective)
        try:
            _forecast(BreachForecaster(part, self._horizons), limits, now)
        except BaseException as error:
            if ends_process(error):
                raise
            return True
        return False

    def censor(self, objectives: Iterable[str], since: float, until: float) -> None:
        """Mark a time range in which an action influenced the series of these objectives (UIDs)."""
        if self._rows is None:
            self._rows = defaultdict(list)
            for key in self.matrix.rows:
                if isinstance(key, tuple):
                    self._rows[key[0]].append(key)
        for uid in objectives:
            for key in self._rows.get(uid, ()):
                self._forecaster.mark_censored(key, since, until)


def _limits(readings: Iterable[Reading]) -> Limits:
    return {
        reading.watched.key(labels): Limit(reading.watched.limit, reading.watched.above, reading.watched.long_trend)
        for reading in readings
        # What is larger than any value that is kept has no forecast; whether it is passed is seen all the same.
        if abs(reading.watched.limit) <= MAX_VALUE
        for labels in reading.values
    }


def _forecast(forecaster: BreachForecaster, limits: Iterable[Limits], now: float) -> ForecastTable:
    forecaster.set_limits({key: limit for limits_of_objective in limits for key, limit in limits_of_objective.items()})
    forecaster.update(now)
    return forecaster.forecast(now)


def _signals(readings: Iterable[Reading], table: ForecastTable | None) -> Iterable[Signal]:
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
                forecast=table.at(key) if table is not None and key in table else None,
            )
        if not reading.values:
            yield signal_without_data(reading)


def signal_without_data(reading: Reading) -> Signal:
    """Return the signal of an indicator none of whose series can be used."""
    watched = reading.watched
    return Signal(
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
