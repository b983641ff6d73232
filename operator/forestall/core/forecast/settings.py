"""Settings of forecasts. Everything else follows from the data, the step and the horizons."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """Settings of a :class:`~forestall.core.forecast.BreachForecaster`."""

    coverage: float = 0.9
    """Share of the maxima that should lie between the lower and the upper bound."""

    min_points: int = 12
    """The minimum of finite points before a series is forecast."""

    stale_after: float = 5.0
    """Steps without a finite point after which a series is stale."""

    periods: tuple[float, ...] = (86400.0, 604800.0)
    """Periods (s) of seasonality."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.coverage < 1:
            raise ValueError(f"coverage must be at least 0.5 and below 1, not {self.coverage}")
        if self.min_points < 2:
            raise ValueError(f"min_points must be at least 2, not {self.min_points}")
        if self.stale_after < 1:
            raise ValueError(f"stale_after must be at least one step, not {self.stale_after}")
