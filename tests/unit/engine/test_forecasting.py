"""From readings to signals; an objective that makes the forecast fail is sought and left out."""

import math
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from forestall.core.forecast import BreachForecaster, Limit
from forestall.core.precision import MAX_VALUE
from forestall.engine import forecasting
from forestall.engine.forecasting import Forecasting
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.readings import Reading
from forestall.engine.settings import Settings
from forestall.errors import LostLease
from forestall.isolation import ErrorIsolation
from forestall.ports import Query

NOW = 100_000.0


def query(objective="a", indicator="load", limit=100.0, *, above=True, long_trend=False):
    return IndicatorQuery(
        objective, indicator, Query((objective, indicator), "x"), limit, above, 600.0, "pod", long_trend
    )


def reading(watched, *, fresh=True, **values):
    return Reading(watched, {(("pod", pod),): value for pod, value in values.items()}, NOW - 5.0, fresh)


def fed(*readings, count=40, isolation=None):
    """Return a forecasting whose matrix has had the values of these readings for some time."""
    made = Forecasting(Settings(interval=30.0), isolation)
    for step in range(count, -1, -1):
        values = {r.watched.key(labels): value for r in readings for labels, value in r.values.items()}
        made.matrix.push(NOW - 30.0 * step, values)
    return made


def by_objective(*readings):
    result: dict[str, tuple[Reading, ...]] = {}
    for one in readings:
        result[one.watched.objective] = (*result.get(one.watched.objective, ()), one)
    return result


def test_every_series_is_a_signal_with_its_forecast():
    given = reading(query(), x=50.0, y=99.0)
    signals = fed(given).forecast(by_objective(given), NOW)["a"]
    assert [(s.indicator, s.labels, s.value) for s in signals] == [
        ("load", (("pod", "x"),), 50.0),
        ("load", (("pod", "y"),), 99.0),
    ]
    first = signals[0]
    assert (first.limit, first.above, first.horizon, first.sampled_at, first.fresh) == (
        100.0,
        True,
        600.0,
        NOW - 5.0,
        True,
    )
    assert first.forecast.limit == Limit(100.0, above=True, long_trend=False)
    assert first.forecast.last == 50.0
    assert first.forecast.horizons == (120.0, 600.0, 1800.0, 3600.0, 10_800.0)


def test_a_limit_has_the_side_and_the_trend_of_its_indicator(monkeypatch):
    given = reading(query(above=False, long_trend=True), x=500.0)
    case = fed(given)
    limits: dict[Any, Limit] = {}
    monkeypatch.setattr(case._forecaster, "set_limits", limits.update)
    (signal,) = case.forecast(by_objective(given), NOW)["a"]
    assert signal.above is False
    assert limits == {given.watched.key((("pod", "x"),)): Limit(100.0, above=False, long_trend=True)}


def test_an_indicator_without_values_is_a_signal_of_nothing():
    given = reading(query(above=False), fresh=True)
    (signal,) = fed(given).forecast(by_objective(given), NOW)["a"]
    assert math.isnan(signal.value)
    assert (signal.labels, signal.fresh, signal.forecast, signal.sampled_at) == ((), False, None, NOW - 5.0)
    assert (signal.indicator, signal.limit, signal.above, signal.horizon) == ("load", 100.0, False, 600.0)


def test_a_series_whose_past_is_not_there_yet_has_no_forecast():
    old, new = reading(query(), x=1.0), reading(query(indicator="new"), x=1.0)
    signals = fed(old).forecast(by_objective(old, new), NOW)["a"]
    assert [s.forecast is None for s in signals] == [False, True]


@pytest.mark.parametrize(("limit", "is_forecast"), [(MAX_VALUE, True), (-MAX_VALUE, True), (MAX_VALUE * 1.01, False)])
def test_a_limit_beyond_any_value_has_no_forecast(limit, is_forecast):
    given = reading(query(limit=limit), x=1.0)
    (signal,) = fed(given).forecast(by_objective(given), NOW)["a"]
    assert (signal.forecast.limit is not None) is is_forecast


class Picky(BreachForecaster):
    """A forecaster that fails by the objectives of some names."""

    culprits: frozenset[str] = frozenset()
    error: BaseException = RuntimeError("overflow")
    made = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        type(self).made += 1
        self.limits: dict[Any, Limit] = {}

    def set_limits(self, limits):
        self.limits = dict(limits)
        super().set_limits(limits)

    def update(self, now):
        if any(key[0] in self.culprits for key in self.limits):
            raise self.error
        super().update(now)


@pytest.fixture
def picky(monkeypatch):
    monkeypatch.setattr(forecasting, "BreachForecaster", Picky)
    monkeypatch.setattr(Picky, "culprits", frozenset())
    monkeypatch.setattr(Picky, "error", RuntimeError("overflow"))
    with capture_logs():
        yield Picky


def test_an_objective_that_makes_the_forecast_fail_is_left_out_until_its_limits_change(picky):
    readings = [reading(query(name), x=50.0) for name in "abcde"]
    case = fed(*readings)
    picky.culprits = frozenset("bd")
    signals = case.forecast(by_objective(*readings), NOW)
    assert {uid: s[0].forecast is not None for uid, s in signals.items()} == dict(
        zip("abcde", (True, False, True, False, True), strict=True)
    )
    assert case.failures == dict.fromkeys(
        "bd", "an unexpected error while forecasting; the operator's log has the traceback"
    )
    assert query("b").key((("pod", "x"),)) not in case.matrix
    assert case.matrix.rows.keys() == {query(name).key((("pod", "x"),)) for name in "ace"}
    # It is not tried again with the same limits, be the fault over or not.
    made = picky.made
    picky.culprits = frozenset()
    assert case.forecast(by_objective(*readings), NOW)["b"][0].forecast is None
    assert (picky.made, set(case.failures)) == (made, {"b", "d"})
    changed = reading(query("b", limit=70.0), x=50.0)
    case.matrix.push(NOW, {changed.watched.key((("pod", "x"),)): 50.0})
    signals = case.forecast(by_objective(*[r for r in readings if r.watched.objective != "b"], changed), NOW)
    assert (signals["b"][0].forecast is not None, set(case.failures)) == (True, {"d"})


def test_failure_is_reported_only_for_objectives_with_readings(picky):
    readings = [reading(query(name), x=50.0) for name in "ab"]
    case = fed(*readings)
    picky.culprits = frozenset("b")
    case.forecast(by_objective(*readings), NOW)
    case.forecast(by_objective(readings[0]), NOW)
    assert case.failures == {}
    case.forecast(by_objective(*readings), NOW)
    assert set(case.failures) == {"b"}, "it is still left out when it is back"


def test_forecaster_learns_anew_after_a_failed_forecast(picky):
    readings = [reading(query(name), x=50.0) for name in "ab"]
    case = fed(*readings)
    before = case._forecaster
    case.forecast(by_objective(*readings), NOW)
    assert case._forecaster is before
    picky.culprits = frozenset("b")
    case.forecast(by_objective(*readings), NOW)
    assert case._forecaster is not before


def test_lost_lease_is_raised_and_not_attributed_to_an_objective(picky):
    readings = [reading(query(name), x=50.0) for name in "ab"]
    case = fed(*readings)
    picky.culprits, picky.error = frozenset("b"), LostLease("gone")
    with pytest.raises(LostLease):
        case.forecast(by_objective(*readings), NOW)


def test_error_in_the_signals_of_one_objective_affects_no_other(picky, monkeypatch):
    signals_of = forecasting._signals

    def broken(readings, table):
        if readings[0].watched.objective == "b":
            raise RuntimeError("by one tenant's object")
        return signals_of(readings, table)

    monkeypatch.setattr(forecasting, "_signals", broken)
    readings = [reading(query(name), x=50.0) for name in "ab"]
    isolation = ErrorIsolation()
    case = fed(*readings, isolation=isolation)
    signals = case.forecast(by_objective(*readings), NOW)
    assert (len(signals["a"]), signals["b"], list(case.failures)) == (1, (), ["b"])
    assert isolation.faults == {"forecasting": 1}
    assert "RuntimeError" in case.failures["b"]
    monkeypatch.setattr(forecasting, "_signals", signals_of)
    case.forecast(by_objective(*readings), NOW)
    assert case.failures == {}


def test_time_of_an_action_is_censored_for_its_objectives(monkeypatch):
    readings = [reading(query("a"), x=1.0, y=2.0), reading(query("b"), x=1.0), reading(query("c"), x=1.0)]
    case = fed(*readings)
    case.matrix.push(NOW, {"no tuple": 1.0})
    marked: list[Any] = []
    monkeypatch.setattr(
        case._forecaster, "mark_censored", lambda key, since, until: marked.append((key[0], key[2], since, until))
    )
    case.censor(["a", "c", "gone"], 5.0, 9.0)
    pods = [(("pod", "x"),), (("pod", "y"),)]
    assert marked == [("a", pods[0], 5.0, 9.0), ("a", pods[1], 5.0, 9.0), ("c", pods[0], 5.0, 9.0)]
    # Series that came since are found in the next cycle.
    new = reading(query("b"), z=1.0)
    case.matrix.retain(key for key in case.matrix.rows if isinstance(key, tuple))
    case.matrix.push(NOW, {new.watched.key((("pod", "z"),)): 1.0})
    case.forecast(by_objective(*readings, new), NOW)
    monkeypatch.setattr(case._forecaster, "mark_censored", lambda key, *_: marked.append(key[2]))
    marked.clear()
    case.censor(["b"], 5.0, 9.0)
    assert marked == [(("pod", "x"),), (("pod", "z"),)]


def test_the_matrix_has_the_step_and_the_columns_of_the_settings():
    own = Settings(interval=15.0)
    matrix = Forecasting(own).matrix
    assert (matrix.step, matrix.capacity) == (15.0, own.columns)
    assert np.isnan(matrix.latest()).all()
