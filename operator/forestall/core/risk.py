"""The risk of an objective, from forecasts and limits: how likely, how soon, and because of which series."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from forestall.core.forecast.table import SeriesForecast
from forestall.core.precision import MAX_VALUE, format_value_and_limit, passes
from forestall.core.wording import printable

SLI = "sli"
"""The name of the service level indicator among the indicators of an objective."""
LIKELY = 0.5
"""The probability from which a breach is more likely than not, so that a time to breach is displayed."""
_LONGEST = 253
"""The longest label value (characters) in a message: any Kubernetes name fits."""
_MOST_LABELS = 32


class ObjectiveState(StrEnum):
    """The state of an objective."""

    HEALTHY = "Healthy"
    EXHAUSTED = "Exhausted"
    """No breach is forecast, but the error budget of the window is used up. This is reported, and is no risk: no action
    restores a budget, so it begins no episode."""
    AT_RISK = "AtRisk"
    BREACHED = "Breached"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Signal:
    """One series of an indicator, now and as forecast."""

    indicator: str
    labels: tuple[tuple[str, str], ...]
    value: float
    """The newest value."""
    limit: float
    above: bool
    """Whether a breach is above the limit (else below)."""
    horizon: float
    """How far ahead (s) a breach matters."""
    sampled_at: float
    """When the newest raw sample was taken (s since the epoch)."""
    fresh: bool
    """Whether the data is present, finite, and not older than its source allows."""
    forecast: SeriesForecast | None
    is_carried: bool = False
    """Whether it is past the limit of the objective, but within the declared capacity of the ready replicas."""
    is_valid: bool = field(init=False, repr=False, compare=False)
    """Whether the newest value is fresh and valid. No action is based on any other."""
    breached: bool = field(init=False, repr=False, compare=False)
    """Whether the newest value is past the limit."""
    _chance: float = field(init=False, repr=False, compare=False)
    """P(limit passed within the horizon)."""

    def __post_init__(self) -> None:
        # Computed once: each is read many times in a cycle, for very many signals.
        is_valid = self.fresh and abs(self.value) <= MAX_VALUE  # NaN is not
        object.__setattr__(self, "is_valid", is_valid)
        object.__setattr__(self, "breached", is_valid and passes(self.value, self.limit, above=self.above))
        object.__setattr__(self, "_chance", self._probability(self.horizon))

    @property
    def no_forecast_reason(self) -> str | None:
        """Why there is no forecast for this signal; None where there is one."""
        if not self.is_valid:
            return "no fresh data"
        if self.breached:
            return None
        return "no forecast yet" if self.forecast is None else self.forecast.abstained

    def probability(self, within: float | None = None) -> float:
        """Return P(limit passed within `within` s, at most the horizon): 1 in breach, NaN without a forecast."""
        return self._chance if not within or within >= self.horizon else self._probability(within)

    def _probability(self, within: float) -> float:
        if self.no_forecast_reason is not None:
            return math.nan
        if self.breached or self.forecast is None:
            return 1.0
        return self.forecast.probability_within(within)

    @property
    def time_to_breach(self) -> tuple[float, float, float]:
        """Median, lower and upper bound (s): 0 in breach, inf where no breach is forecast or there is no forecast."""
        if self.breached:
            return (0.0, 0.0, 0.0)
        if self.no_forecast_reason is not None or self.forecast is None:
            return (math.inf, math.inf, math.inf)
        return (self.forecast.time_to_breach, self.forecast.earliest_breach, self.forecast.latest_breach)

    def likely_time_to_breach(self, within: float | None = None) -> tuple[float, float, float]:
        """Return `time_to_breach` for display: inf where a breach within `within` s (at most the horizon) is less
        likely than not, and for times beyond it.
        """
        span = min(within or self.horizon, self.horizon)
        if not self.probability(within) >= LIKELY:
            return (math.inf, math.inf, math.inf)
        median, low, high = self.time_to_breach
        if median > span:
            return (math.inf, math.inf, math.inf)
        return (median, low, high if high <= span else math.inf)

    def bound(self, within: float | None = None) -> float:
        """Return the bound of the extreme value within `within` s, at least as extreme as the newest value."""
        if self.no_forecast_reason is not None or self.forecast is None:
            return self.value
        bound = self.forecast.upper_at(min(within or self.horizon, self.horizon))
        if not math.isfinite(bound):
            return self.value
        return max(bound, self.value) if self.above else min(bound, self.value)

    def expected(self, within: float | None, confidence: float) -> float:
        """Return the value that the extreme value within `within` s does not exceed with probability `confidence`, at
        least as extreme as the newest value.
        """
        if self.no_forecast_reason is not None or self.forecast is None:
            return self.value
        share = confidence if self.above else 1 - confidence
        extreme = self.forecast.quantile(min(within or self.horizon, self.horizon), share)
        if not math.isfinite(extreme):
            return self.value
        return max(extreme, self.value) if self.above else min(extreme, self.value)

    def with_capacity(self, limit: float) -> "Signal":
        """Return the signal with the capacity of the ready replicas, `limit`, for its limit, where that is higher."""
        if not (self.above and limit > self.limit):
            return self
        forecast = self.forecast and (self.forecast if self.forecast.abstained else self.forecast.against(limit))
        return replace(self, limit=limit, forecast=forecast, is_carried=self.breached and self.value <= limit)

    def label(self, name: str) -> str | None:
        """Return the value of the label `name`."""
        return dict(self.labels).get(name)


def carried_message(signals: Iterable[Signal]) -> str:
    """Return the message for signals that are past their limit and carried, without a forecast."""
    carried = {
        signal.indicator: format_value_and_limit(signal.value, signal.limit) for signal in signals if signal.is_carried
    }
    descriptions = ", ".join(
        f"{name} of {value}, and up to {limit}" for name, (value, limit) in sorted(carried.items())
    )
    return f"the ready replicas carry {descriptions}, by what the policy declares; nothing is forecast yet"


def printable_labels(labels: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return the labels of a series for a message. Labels are untrusted: control characters and length are limited."""
    displayed = [(name, " ".join(printable(value).split())) for name, value in labels[:_MOST_LABELS]]
    return {name: value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…" for name, value in displayed}


@dataclass(frozen=True, slots=True)
class Risk:
    """The state of an objective, and the signal that is its cause."""

    state: ObjectiveState
    probability: float
    """The highest breach probability of its signals; NaN where none has a forecast."""
    cause: Signal | None
    """The signal with that probability, also while the objective is healthy."""


def worst_signal(signals: Iterable[Signal], within: float | None = None) -> Signal | None:
    """Return the signal most likely to pass its limit within `within` s; of equals the soonest, then by name."""
    with_probability = [
        (probability, signal) for signal in signals if not math.isnan(probability := signal.probability(within))
    ]
    highest = max((probability for probability, _ in with_probability), default=math.nan)
    equals = [signal for probability, signal in with_probability if probability == highest]
    return min(equals, key=lambda signal: (signal.time_to_breach[0], signal.indicator, signal.labels), default=None)


def assess(signals: Sequence[Signal], at_risk_from: float, *, blind: bool = False) -> Risk:
    """Return the risk of an objective; `blind`: some indicator has no data at all.

    `at_risk_from` is the probability from which the objective is at risk. An SLI past its limit is a breach; a leading
    indicator past its limit is a risk with probability 1.
    """
    cause = worst_signal(signals)
    if cause is None:
        # Without any forecast, a signal that is carried makes the objective healthy.
        carried = any(signal.is_carried for signal in signals) and not blind
        return Risk(ObjectiveState.HEALTHY if carried else ObjectiveState.UNKNOWN, math.nan, None)
    probability = cause.probability()
    if any(signal.indicator == SLI and signal.breached for signal in signals):
        return Risk(ObjectiveState.BREACHED, probability, cause)
    if probability >= at_risk_from:
        return Risk(ObjectiveState.AT_RISK, probability, cause)
    # An indicator without data may be the one in breach: the others do not make the objective healthy.
    return Risk(ObjectiveState.UNKNOWN, math.nan, None) if blind else Risk(ObjectiveState.HEALTHY, probability, cause)
