"""How right were the forecasts: events, actions and lead times; Brier score, skill, calibration and coverage.

All arrays have one entry for each step of time; what is not known is NaN, or -1 among whole numbers.

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
Whole = NDArray[np.int64]
Flags = NDArray[np.int8]

UNKNOWN: Final = -1
THRESHOLDS: Final = np.round(np.arange(1, 100) / 100, 2)
"""The probabilities that are tried as threshold."""
_BINS: Final = 10
_PRIOR: Final = 0.5  # events before any was seen, in one origin
_DAY: Final = 86400.0
_LEAST_OF_A_DAY: Final = 1 / 3


def past(values: Floats, limit: float, *, above: bool) -> Flags:
    """Return whether each value is past the limit: 1, 0, or `UNKNOWN` where there is none."""
    return np.where(np.isnan(narrow(values)), UNKNOWN, is_past(values, limit, above=above)).astype(np.int8)


def reached(values: Floats, steps: int, *, above: bool) -> Floats:
    """Return the largest (smallest) of the `steps` values that follow each one.

    NaN where not more than half of them are there, and where the values end before.
    """
    result = np.full(values.size, np.nan)
    if steps >= values.size:
        return result
    windows = np.lib.stride_tricks.sliding_window_view(values[1:], steps)
    extreme = (np.fmax if above else np.fmin).reduce(windows, axis=1)
    enough = np.isfinite(windows).sum(axis=1) * 2 > steps
    result[: extreme.size] = np.where(enough, extreme, np.nan)
    return result


def onsets(breached: Flags, calm: int) -> Whole:
    """Return the steps at which an event begins: the limit is passed after at least `calm` steps within it.

    A value that crosses the limit to and fro is one event. Steps that are not known count for nothing, and what is past
    the limit from the first known step on began before: its onset is not in sight.
    """
    events, quiet = [], 0
    for place, step in enumerate(np.flatnonzero(breached != UNKNOWN).tolist()):
        if not breached[step]:
            quiet = calm if place == 0 else quiet + 1
            continue
        if quiet >= calm and place > 0:
            events.append(step)
        quiet = 0
    return np.array(events, dtype=np.int64)


def actions(chance: Floats, horizon: Whole, threshold: float) -> Whole:
    """Return the steps at which somebody acts who acts from `threshold` on.

    An action is good for its horizon (steps, one for each step of time): there is no other one meanwhile.
    """
    asked = np.flatnonzero(chance >= threshold)  # NaN asks for nothing
    done: list[int] = []
    place = 0
    while place < asked.size:
        step = int(asked[place])
        done.append(step)
        place = int(np.searchsorted(asked, step + max(1, int(horizon[step])), side="right"))
    return np.array(done, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of actions."""

    events: int
    lead: Floats
    """For each event that an action came before: how many steps before. The first such action counts."""
    true: Whole
    """The actions with an event within their horizon."""
    false: Whole
    """Those that came to nothing: the limit was not passed within their horizon."""
    repeated: Whole
    """Those within whose horizon the limit was passed again, which is no event of its own."""

    @property
    def recall(self) -> float:
        """The share of events that an action came before; NaN without events."""
        return self.lead.size / self.events if self.events else float("nan")

    def __add__(self, other: Tally) -> Tally:
        """Of two series of different objectives together; the steps of their actions lose their meaning."""
        return Tally(
            self.events + other.events,
            np.concatenate((self.lead, other.lead)),
            np.concatenate((self.true, other.true)),
            np.concatenate((self.false, other.false)),
            np.concatenate((self.repeated, other.repeated)),
        )


_NONE: Final = np.zeros(0, dtype=np.int64)
NOTHING: Final = Tally(0, np.zeros(0), _NONE, _NONE, _NONE)


def tally(done: Whole, horizon: Whole, events: Whole, breached: Flags) -> Tally:
    """Return what came of the actions at the steps `done`: an event within (step, step + horizon] makes one true.

    One is neither true nor false whose horizon has not ended in the data, or is not known for the most part.
    """
    lead, outcome = [], np.zeros(done.size, dtype=np.int8)
    for event in events.tolist():
        covering = np.flatnonzero((done < event) & (done + horizon[done] >= event))
        outcome[covering] = 1
        if covering.size:
            lead.append(float(event - done[covering[0]]))
    for place, step in enumerate(done.tolist()):
        ahead = breached[step + 1 : step + 1 + int(horizon[step])]
        if outcome[place] == 1:
            continue
        if (ahead == 1).any():
            outcome[place] = 2
        elif ahead.size == horizon[step] and (ahead != UNKNOWN).sum() * 2 > ahead.size:
            outcome[place] = 3
    return Tally(events.size, np.array(lead), done[outcome == 1], done[outcome == 3], done[outcome == 2])


def best_threshold(tallies: Sequence[Tally], weeks: float, most: float) -> int | None:
    """Return which of `tallies`, one for each of `THRESHOLDS`, has the best recall at no more than `most` false
    actions a week; of equals the one with fewer of these, then the longer lead (median), then the higher threshold.
    None where none keeps to that."""

    def worth(n: int) -> tuple[float, ...]:
        lead, false = tallies[n].lead, tallies[n].false
        return lead.size, -false.size, float(np.median(lead)) if lead.size else 0.0, n

    return max((n for n, each in enumerate(tallies) if each.false.size <= most * weeks), key=worth, default=None)


def brier(said: Floats, came: Flags) -> float:
    """Return the mean squared difference of probabilities and what came; NaN where nothing is known."""
    known = (came != UNKNOWN) & np.isfinite(said)
    return float(np.square(said[known] - came[known]).mean()) if known.any() else float("nan")


def climatology(came: Flags, steps: int) -> Floats:
    """Return the share of events among all origins whose outcome, `steps` later, was known at each step."""
    events, origins = np.cumsum(came == 1), np.cumsum(came != UNKNOWN)
    rate = np.full(came.size, _PRIOR)
    if steps < came.size:
        rate[steps:] = ((events + _PRIOR) / (origins + 1))[: came.size - steps]
    return rate


@dataclass(frozen=True, slots=True)
class Reliability:
    """One group of forecasts that said about the same."""

    said: float
    came: float
    count: int


def reliability(said: Floats, came: Flags) -> tuple[Reliability, ...]:
    """Return what was said and what came, for each tenth of the probabilities that was used."""
    known = (came != UNKNOWN) & np.isfinite(said)
    told, outcome = said[known], came[known]
    tenth = np.minimum((told * _BINS).astype(int), _BINS - 1)
    return tuple(
        Reliability(float(told[tenth == one].mean()), float(outcome[tenth == one].mean()), int((tenth == one).sum()))
        for one in np.unique(tenth)
    )


def calibration_error(groups: Sequence[Reliability]) -> float:
    """Return the mean distance of what was said from what came; NaN without forecasts."""
    total = sum(each.count for each in groups)
    return sum(each.count * abs(each.said - each.came) for each in groups) / total if total else float("nan")


def inside(extreme: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return 1 where an extreme lies within its bounds, 0 where not, NaN where one of them is not known."""
    slack = 1e-6 * np.abs(extreme)
    within = (extreme >= lower - slack) & (extreme <= upper + slack)
    return np.where(np.isnan(extreme) | np.isnan(lower) | np.isnan(upper), np.nan, within)


def worst_day(times: Floats, within: Floats) -> float:
    """Return the lowest share of any day (UTC) of which at least a third is known; NaN where there is none."""
    known = np.isfinite(within)
    if not known.any() or times.size < 2:
        return float("nan")
    a_day = _DAY / float(np.median(np.diff(times)))
    day = (times // _DAY).astype(np.int64)
    shares = []
    for one in np.unique(day):
        part = within[(day == one) & known]
        if part.size >= a_day * _LEAST_OF_A_DAY:
            shares.append(float(part.mean()))
    return min(shares, default=float("nan"))
