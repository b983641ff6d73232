"""Forecasts of breaches: will a series pass its limit within a horizon, how probably, and when?

Several experts forecast the maximum over each horizon; the past errors of each turn its forecast into a probability,
and past scores weight the experts. See ``docs/forecasting.md``.
"""

from forestall.core.forecast.forecaster import BreachForecaster
from forestall.core.forecast.settings import ForecastSettings
from forestall.core.forecast.table import Abstention, ForecastTable, Limit, SeriesForecast

__all__ = ["Abstention", "BreachForecaster", "ForecastSettings", "ForecastTable", "Limit", "SeriesForecast"]
