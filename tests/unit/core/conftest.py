"""Signals with made forecasts, for tests of what is decided from them."""

import pytest

from forestall.core.forecast import Limit, SeriesForecast
from forestall.core.risk import Signal


def _forecast(probability, upper, limit, above, horizon, abstained, ttb):
    return SeriesForecast(
        horizons=(horizon,),
        coverage=0.9,
        probability=(0.0 if abstained else probability,),
        lower=(50.0 if above else upper,),
        median=(80.0,),
        upper=(upper if above else 150.0,),
        time_to_breach=ttb,
        earliest_breach=ttb / 2,
        latest_breach=ttb * 2,
        abstained=abstained,
        last=70.0,
        age=0.0,
        limit=Limit(limit, above),
    )


@pytest.fixture(scope="session")
def make_signal():
    def make(
        indicator="load",
        probability=0.9,
        *,
        value=70.0,
        limit=100.0,
        above=True,
        fresh=True,
        labels=(),
        upper=120.0,
        horizon=600.0,
        abstained=None,
        ttb=300.0,
    ):
        forecast = _forecast(probability, upper, limit, above, horizon, abstained, ttb)
        return Signal(indicator, tuple(labels), value, limit, above, horizon, 1000.0, fresh, forecast)

    return make
