"""What a backtest finds out, as data: tables, pictures and JSON are made of it."""

from dataclasses import dataclass

from forestall.backtest.replay import Record, Span, Would
from forestall.core.score import Flags, Reliability, Whole

BUDGETS = (1.0, 3.0)
"""False actions a week."""


@dataclass(frozen=True, slots=True)
class Lead:
    """How early, in seconds; NaN where nothing was foreseen."""

    median: float
    p10: float
    """Nine of ten were earlier."""
    useful: float
    """The share of all events that an action came before by at least the time that it takes to help."""


@dataclass(frozen=True, slots=True)
class Point:
    """What acting from one threshold on would have brought."""

    threshold: float
    recall: float
    false_a_week: float
    lead: Lead


@dataclass(frozen=True, slots=True)
class Forecaster:
    """One way to foresee the events, judged."""

    name: str
    brier: float
    """NaN where it says no probability."""
    skill: float
    """Over climatology; 1 is perfect, below 0 worse than knowing only how often it happens."""
    curve: tuple[Point, ...]
    """One point for each threshold; a way that only says yes or no has one."""
    within: tuple[Point | None, ...]
    """The best point at no more than each of `BUDGETS`; None where none keeps to it."""


@dataclass(frozen=True, slots=True)
class Done:
    """What the policies as they are would have done, once for each horizon that an action is good for; without any
    policy, what the recommended threshold would have."""

    would: Would
    verdict: str
    """foreseen (an event came within the horizon), same event (the limit was passed again), in vain, or open (the
    history ends before, or has a gap)."""
    lead: float
    """Seconds to the event; NaN where none came."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One objective, or all of them together."""

    name: str
    weeks: float
    events: int
    origins: int
    """Forecasts that could be compared with what came."""
    abstained: float
    """The share of the time, not in breach, in which nothing was said."""
    silences: tuple[tuple[str, int], ...]
    """Why, and at how many moments, the most frequent first."""
    forestall: Forecaster
    others: tuple[Forecaster, ...]
    calibration: tuple[Reliability, ...]
    calibration_error: float
    coverage: float
    """The share of extremes within the bounds of 90 %."""
    worst_day: float
    recommended: float | None
    """The threshold with the best recall at no more than one false action a week."""
    as_configured: Point | None
    """What the policies as they are bring; None without a policy."""
    lead_time: float
    """Seconds that an action takes to help."""


@dataclass(frozen=True, slots=True)
class Case:
    """One objective with all that pictures and tables are made of."""

    record: Record
    verdict: Verdict
    onsets: Whole
    breached: Flags
    done: tuple[Done, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that a backtest finds out."""

    span: Span
    learn_from: float
    cases: tuple[Case, ...]
    total: Verdict
    """All objectives together, the same threshold for each; false actions count by week and objective."""
    unseen: tuple[str, ...]
    """Objectives without any series in the history, with the reason."""
