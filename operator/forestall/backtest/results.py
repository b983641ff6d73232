"""The result of a backtest as data, for tables, charts and JSON."""

from dataclasses import dataclass

from forestall.backtest.replay import ObjectiveRecord, ProposedAction, TimeRange
from forestall.core.score import Flags, Integers, Reliability

BUDGETS = (1.0, 3.0)
"""False actions a week."""


@dataclass(frozen=True, slots=True)
class LeadTime:
    """Lead times of predicted events in seconds; NaN where none was predicted."""

    median: float
    p10: float
    """Nine of ten lead times are longer."""
    useful: float
    """The share of all events with an action early enough to help."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Recall and false actions of acting at one threshold."""

    threshold: float
    recall: float
    false_a_week: float
    lead: LeadTime


@dataclass(frozen=True, slots=True)
class ForecasterScore:
    """The score of one forecaster."""

    name: str
    brier: float
    """NaN for a forecaster without probabilities."""
    skill: float
    """Brier skill score over climatology: 1 is perfect, below 0 is worse than the base rate."""
    curve: tuple[OperatingPoint, ...]
    """One point for each threshold; a forecaster that answers yes or no has one."""
    within: tuple[OperatingPoint | None, ...]
    """The best point within each of `BUDGETS`; None where there is none."""


@dataclass(frozen=True, slots=True)
class JudgedAction:
    """An action that the policies as configured would have taken, at most one in each horizon; without a policy, an
    action at the recommended threshold."""

    proposed: ProposedAction
    outcome: str
    """`foreseen` (an event within the horizon), `same event` (the limit was passed again), `in vain` (no event), or
    `open` (the history ends before, or has a gap)."""
    lead: float
    """Seconds to the event; NaN without one."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """The scores of one objective, or of all together."""

    name: str
    weeks: float
    events: int
    origins: int
    """Number of forecasts that are compared with their outcome."""
    abstained: float
    """The share of the time outside breaches without a forecast."""
    abstentions: tuple[tuple[str, int], ...]
    """Reasons for a missing forecast and their counts, the most frequent first."""
    forestall: ForecasterScore
    baselines: tuple[ForecasterScore, ...]
    calibration: tuple[Reliability, ...]
    calibration_error: float
    coverage: float
    """The share of extremes within the 90 % bounds."""
    worst_day: float
    recommended: float | None
    """The threshold with the best recall at no more than one false action a week."""
    as_configured: OperatingPoint | None
    """The policies as configured; None without a policy."""
    lead_time: float
    """Seconds until an action takes effect."""


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """The result of one objective, with the data for charts and tables."""

    record: ObjectiveRecord
    assessment: Assessment
    onsets: Integers
    breached: Flags
    actions: tuple[JudgedAction, ...]


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """The result of a backtest."""

    time_range: TimeRange
    learn_from: float
    objectives: tuple[ObjectiveResult, ...]
    total: Assessment
    """All objectives together, at the same threshold; false actions count by week and objective."""
    missing: tuple[str, ...]
    """Objectives without a series in the history, with the reason."""
