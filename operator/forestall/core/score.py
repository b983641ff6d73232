"""Scores of forecasts: events, actions and lead times; Brier score, skill, calibration and coverage.

All arrays have one entry for each time step; unknown entries are NaN, or -1 in integer arrays.

Sources: Brier, Verification of forecasts expressed in terms of probability (1950); Murphy, A new vector partition of
the probability score (1973), for skill and reliability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forestall.core.precision import is_past, narrow

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.int8]

UNKNOWN: Final = -1
THRESHOLDS: Final = np.round(np.arange(1, 100) / 100, 2)
"""The probabilities that are candidates for the threshold."""
_BINS: Final = 10
_PRIOR: Final = 0.5  # prior events, in one prior origin
_DAY: Final = 86400.0
_LEAST_OF_A_DAY: Final = 1 / 3


def past_limit(values: Floats, limit: float, *, above: bool) -> Flags:
    """Return whether each value is past the limit: 1, 0, or `UNKNOWN` for NaN."""
    return np.where(np.isnan(narrow(values)), UNKNOWN, is_past(values, limit, above=above)).astype(np.int8)


def extremes_ahead(values: Floats, steps: int, *, above: bool) -> Floats:
    """Return the largest (with `above` false: smallest) of the `steps` values after each one.

    NaN where half of them or more are missing, and where the values end before.
    """
    result = np.full(values.size, np.nan)
    if steps >= values.size:
        return result
    windows = np.lib.stride_tricks.sliding_window_view(values[1:], steps)
    extreme = (np.fmax if above else np.fmin).reduce(windows, axis=1)
    enough = np.isfinite(windows).sum(axis=1) * 2 > steps
    result[: extreme.size] = np.where(enough, extreme, np.nan)
    return result


def onsets(breached: Flags, calm: int) -> Integers:
    """Return the steps at which an event begins: the limit is passed after at least `calm` steps within it.

    A value that crosses the limit back and forth is one event. Unknown steps are skipped. A value that is past the
    limit at the first known step has no onset in the data.
    """
    events, calm_steps = [], 0
    for index, step in enumerate(np.flatnonzero(breached != UNKNOWN).tolist()):
        if not breached[step]:
            calm_steps = calm if index == 0 else calm_steps + 1
            continue
        if calm_steps >= calm and index > 0:
            events.append(step)
        calm_steps = 0
    return np.array(events, dtype=np.int64)


def action_steps(chance: Floats, horizon: Integers, threshold: float) -> Integers:
    """Return the steps at which a policy with this `threshold` acts.

    An action covers its horizon (in steps, one entry for each time step), in which no other action follows.
    """
    candidates = np.flatnonzero(chance >= threshold)  # NaN is below every threshold
    acted: list[int] = []
    index = 0
    while index < candidates.size:
        step = int(candidates[index])
        acted.append(step)
        index = int(np.searchsorted(candidates, step + max(1, int(horizon[step])), side="right"))
    return np.array(acted, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class ActionOutcomes:
    """The outcomes of actions."""

    events: int
    lead: Floats
    """The lead time (steps) of each event that an action preceded; the first such action counts."""
    true: Integers
    """The steps of true actions: an event followed within the horizon."""
    false: Integers
    """The steps of false actions: the limit was not passed within the horizon."""
    repeated: Integers
    """The steps of actions within whose horizon the limit was passed again by an ongoing event."""

    @property
    def recall(self) -> float:
        """The share of events that an action preceded; NaN without events."""
        return self.lead.size / self.events if self.events else float("nan")

    def __add__(self, other: ActionOutcomes) -> ActionOutcomes:
        """Sum the outcomes of two series; the steps of their actions lose their meaning."""
        return ActionOutcomes(
            self.events + other.events,
            np.concatenate((self.lead, other.lead)),
            np.concatenate((self.true, other.true)),
            np.concatenate((self.false, other.false)),
            np.concatenate((self.repeated, other.repeated)),
        )


_NONE: Final = np.zeros(0, dtype=np.int64)
NO_OUTCOMES: Final = ActionOutcomes(0, np.zeros(0), _NONE, _NONE, _NONE)


def action_outcomes(acted: Integers, horizon: Integers, events: Integers, breached: Flags) -> ActionOutcomes:
    """Return the outcomes of the actions at the steps `acted`: an event within (step, step + horizon] makes one true.

    An action is neither true nor false where its horizon ends after the data, or is mostly unknown.
    """
    lead, outcome = [], np.zeros(acted.size, dtype=np.int8)
    for event in events.tolist():
        covering = np.flatnonzero((acted < event) & (acted + horizon[acted] >= event))
        outcome[covering] = 1
        if covering.size:
            lead.append(float(event - acted[covering[0]]))
    for index, step in enumerate(acted.tolist()):
        following = breached[step + 1 : step + 1 + int(horizon[step])]
        if outcome[index] == 1:
            continue
        if (following == 1).any():
            outcome[index] = 2
        elif following.size == horizon[step] and (following != UNKNOWN).sum() * 2 > following.size:
            outcome[index] = 3
    return ActionOutcomes(events.size, np.array(lead), acted[outcome == 1], acted[outcome == 3], acted[outcome == 2])


def best_threshold(outcomes: Sequence[ActionOutcomes], weeks: float, max_false_per_week: float) -> int | None:
    """Return the index of the tally, one for each of `THRESHOLDS`, with the best recall among those with at most
    `max_false_per_week` false actions; of equals the one with fewer of these, then the longer median lead, then the
    higher threshold. None where none qualifies."""

    def rank(index: int) -> tuple[float, ...]:
        lead, false = outcomes[index].lead, outcomes[index].false
        return lead.size, -false.size, float(np.median(lead)) if lead.size else 0.0, index

    return max(
        (index for index, tally in enumerate(outcomes) if tally.false.size <= max_false_per_week * weeks),
        key=rank,
        default=None,
    )


def brier(forecast: Floats, outcome: Flags) -> float:
    """Return the mean squared difference of probabilities and outcomes; NaN without a known pair."""
    scored = (outcome != UNKNOWN) & np.isfinite(forecast)
    return float(np.square(forecast[scored] - outcome[scored]).mean()) if scored.any() else float("nan")


def climatology(outcome: Flags, steps: int) -> Floats:
    """Return the base rate at each step: the share of events among origins whose outcome, `steps` later, was known."""
    events, origins = np.cumsum(outcome == 1), np.cumsum(outcome != UNKNOWN)
    rate = np.full(outcome.size, _PRIOR)
    if steps < outcome.size:
        rate[steps:] = ((events + _PRIOR) / (origins + 1))[: outcome.size - steps]
    return rate


@dataclass(frozen=True, slots=True)
class Reliability:
    """A bin of forecasts with similar probabilities."""

    forecast: float
    observed: float
    count: int


def reliability(forecast: Floats, outcome: Flags) -> tuple[Reliability, ...]:
    """Return the mean forecast and the observed frequency in each tenth of the probabilities that has forecasts."""
    scored = (outcome != UNKNOWN) & np.isfinite(forecast)
    probabilities, outcomes = forecast[scored], outcome[scored]
    deciles = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    return tuple(
        Reliability(
            float(probabilities[deciles == decile].mean()),
            float(outcomes[deciles == decile].mean()),
            int((deciles == decile).sum()),
        )
        for decile in np.unique(deciles)
    )


def calibration_error(groups: Sequence[Reliability]) -> float:
    """Return the mean distance between forecast and observed frequency; NaN without forecasts."""
    total = sum(group.count for group in groups)
    return (
        sum(group.count * abs(group.forecast - group.observed) for group in groups) / total if total else float("nan")
    )


def within_bounds(extreme: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return 1 where an extreme is within its bounds, 0 where not, NaN where one of the three is unknown."""
    slack = 1e-6 * np.abs(extreme)
    within = (extreme >= lower - slack) & (extreme <= upper + slack)
    return np.where(np.isnan(extreme) | np.isnan(lower) | np.isnan(upper), np.nan, within)


def worst_day(times: Floats, within: Floats) -> float:
    """Return the lowest daily mean, over days (UTC) of which at least a third is known; NaN without such a day."""
    is_known = np.isfinite(within)
    if not is_known.any() or times.size < 2:
        return float("nan")
    steps_per_day = _DAY / float(np.median(np.diff(times)))
    days = (times // _DAY).astype(np.int64)
    shares = []
    for day in np.unique(days):
        on_day = within[(days == day) & is_known]
        if on_day.size >= steps_per_day * _LEAST_OF_A_DAY:
            shares.append(float(on_day.mean()))
    return min(shares, default=float("nan"))
