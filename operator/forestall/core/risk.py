"""From forecasts and limits to risk: how likely, how soon, and because of which series."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from forestall.core.forecast.table import SeriesForecast
from forestall.core.precision import LARGEST, passes, written
from forestall.core.wording import printable

SLI = "sli"
"""The name under which the service level indicator itself is watched, beside the leading indicators."""
LIKELY = 0.5
"""The probability from which a breach is more likely than not, so that a time can be told at which it comes."""
_LONGEST = 253
"""The longest value (characters) that is told: any name in Kubernetes fits."""
_MOST_LABELS = 32


class State(StrEnum):
    """The state of an objective."""

    HEALTHY = "Healthy"
    EXHAUSTED = "Exhausted"
    """No breach is forecast, but the error budget of the window is gone. It is told, and is no risk of its own: nothing
    that an action could do brings a budget back, so no episode begins by it."""
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
    """Whether it hurts above the limit, or below."""
    horizon: float
    """Seconds ahead that matter."""
    sampled_at: float
    """When the newest raw sample behind it was taken, seconds since the epoch."""
    fresh: bool
    """Whether the data is there, finite, and not older than its source allows."""
    forecast: SeriesForecast | None
    is_carried: bool = False
    """Whether it is past the limit that the objective names, and ready replicas carry it all the same."""
    known: bool = field(init=False, repr=False, compare=False)
    """Whether the newest value can be trusted: nothing else leads to an action."""
    breached: bool = field(init=False, repr=False, compare=False)
    """Whether the newest value is past the limit."""
    _chance: float = field(init=False, repr=False, compare=False)
    """P(limit passed within the horizon)."""

    def __post_init__(self) -> None:
        # All three are asked for many times in a cycle, of each of very many signals.
        known = self.fresh and abs(self.value) <= LARGEST  # NaN is not
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "breached", known and passes(self.value, self.limit, above=self.above))
        object.__setattr__(self, "_chance", self._probability(self.horizon))

    @property
    def silence(self) -> str | None:
        """Why this signal says nothing about the future; None when it does."""
        if not self.known:
            return "no fresh data"
        if self.breached:
            return None
        return "no forecast yet" if self.forecast is None else self.forecast.abstained

    def probability(self, within: float | None = None) -> float:
        """Return P(limit passed within `within` s, at most the horizon): 1 in breach, NaN where nothing is known."""
        return self._chance if not within or within >= self.horizon else self._probability(within)

    def _probability(self, within: float) -> float:
        if self.silence is not None:
            return math.nan
        if self.breached or self.forecast is None:
            return 1.0
        return self.forecast.probability_within(within)

    @property
    def time_to_breach(self) -> tuple[float, float, float]:
        """Median, lower and upper bound in seconds; zeros in breach, inf where none is forecast or nothing is known."""
        if self.breached:
            return (0.0, 0.0, 0.0)
        if self.silence is not None or self.forecast is None:
            return (math.inf, math.inf, math.inf)
        return (self.forecast.time_to_breach, self.forecast.earliest_breach, self.forecast.latest_breach)

    def likely_in(self, within: float | None = None) -> tuple[float, float, float]:
        """Return `time_to_breach` as it may be told: inf where a breach within `within` s, at most the horizon, is less
        likely than not, and for what lies beyond that time.
        """
        span = min(within or self.horizon, self.horizon)
        if not self.probability(within) >= LIKELY:
            return (math.inf, math.inf, math.inf)
        median, low, high = self.time_to_breach
        if median > span:
            return (math.inf, math.inf, math.inf)
        return (median, low, high if high <= span else math.inf)

    def bound(self, within: float | None = None) -> float:
        """Return the bound of the most extreme value within `within` seconds; never milder than the newest value."""
        if self.silence is not None or self.forecast is None:
            return self.value
        bound = self.forecast.upper_at(min(within or self.horizon, self.horizon))
        if not math.isfinite(bound):
            return self.value
        return max(bound, self.value) if self.above else min(bound, self.value)

    def expected(self, within: float | None, confidence: float) -> float:
        """Return what the most extreme value within `within` seconds stays on the safe side of with probability
        `confidence`; never milder than the newest value.
        """
        if self.silence is not None or self.forecast is None:
            return self.value
        share = confidence if self.above else 1 - confidence
        extreme = self.forecast.quantile(min(within or self.horizon, self.horizon), share)
        if not math.isfinite(extreme):
            return self.value
        return max(extreme, self.value) if self.above else min(extreme, self.value)

    def carried(self, limit: float) -> "Signal":
        """Return the signal as it stands where replicas carry more than its limit; `limit` is what they carry."""
        if not (self.above and limit > self.limit):
            return self
        forecast = self.forecast and (self.forecast if self.forecast.abstained else self.forecast.against(limit))
        return replace(self, limit=limit, forecast=forecast, is_carried=self.breached and self.value <= limit)

    def label(self, name: str) -> str | None:
        """Return the value of label `name`."""
        return dict(self.labels).get(name)


def carried_in_words(signals: Iterable[Signal]) -> str:
    """Return what is past its limit and carried by the replicas, where nothing is forecast."""
    carried = {each.indicator: written(each.value, each.limit) for each in signals if each.is_carried}
    words = ", ".join(f"{name} of {value}, and up to {limit}" for name, (value, limit) in sorted(carried.items()))
    return f"the ready replicas carry {words}, by what the policy declares; nothing is forecast yet"


def labels_in_words(labels: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return the labels of a series as people are told of them: others write them, as long as they like."""
    told = [(name, " ".join(printable(value).split())) for name, value in labels[:_MOST_LABELS]]
    return {name: value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…" for name, value in told}


@dataclass(frozen=True, slots=True)
class Risk:
    """How an objective stands: its state, and the signal that endangers it most."""

    state: State
    probability: float
    """The highest over the signals; NaN when nothing is known."""
    cause: Signal | None
    """The signal that has it, also while the objective is healthy."""


def worst(signals: Iterable[Signal], within: float | None = None) -> Signal | None:
    """Return the signal that is most likely to pass its limit within `within` s; of equals the soonest, by name."""
    known = [(p, signal) for signal in signals if not math.isnan(p := signal.probability(within))]
    highest = max((p for p, _ in known), default=math.nan)
    equals = [signal for p, signal in known if p == highest]
    return min(equals, key=lambda s: (s.time_to_breach[0], s.indicator, s.labels), default=None)


def assess(signals: Sequence[Signal], at_risk_from: float, *, blind: bool = False) -> Risk:
    """Return the risk of an objective; `blind` says that of some indicator nothing at all is known.

    `at_risk_from` is the probability from which it counts as at risk. The SLI past its limit is a breach; a leading
    indicator past its limit is a risk, as certain as can be.
    """
    cause = worst(signals)
    if cause is None:
        # Without a forecast what is past the limit is judged by what is known now, and so is what is carried.
        carried = any(signal.is_carried for signal in signals) and not blind
        return Risk(State.HEALTHY if carried else State.UNKNOWN, math.nan, None)
    probability = cause.probability()
    if any(signal.indicator == SLI and signal.breached for signal in signals):
        return Risk(State.BREACHED, probability, cause)
    if probability >= at_risk_from:
        return Risk(State.AT_RISK, probability, cause)
    # What is not seen may be the trouble: that the others are well makes nobody healthy.
    return Risk(State.UNKNOWN, math.nan, None) if blind else Risk(State.HEALTHY, probability, cause)
