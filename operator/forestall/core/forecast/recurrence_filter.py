"""Whether an event recurs at a phase: a hidden state that a forward filter follows from period to period.

Events either come by chance, at the series' own rate, or recur in a share of the periods (Rabiner, A tutorial on hidden
Markov models, 1989). Few events by chance make the second repetition telling; many events by chance need more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.event_log import Columns
    from forestall.core.forecast.frame import Floats

LONGEST: Final = 31
"""Periods looked back at: they are bits of an integer."""
_SHARES: Final = np.array([0.5, 0.8, 0.97])  # of the periods in which a recurring event comes
_PRIOR: Final = 0.2  # recurring events that a series has in a period, before anything is known
_TWO_KINDS: Final = 0.1  # chance that periods are of two kinds, before anything is known
_CHANGE: Final = 0.03  # chance that an event begins or ceases to recur, from one period to the next


class PhaseEvidence(NamedTuple):
    """What the past says of phases; one entry each."""

    came: Columns
    """Bit k: an event came k periods ago."""
    ignored: Columns
    """Bit k: the period k periods ago says nothing."""
    periods: Columns
    """How many are known."""
    by_chance: NDArray[np.float64]
    """P(event) where nothing recurs."""
    share: NDArray[np.float64]
    """How much of the period the phase takes."""

    def without(self, periods: int) -> PhaseEvidence:
        """Return the evidence of all but some periods, whose bits are set."""
        return self._replace(came=self.came & ~np.int64(periods), ignored=self.ignored | np.int64(periods))


class Recurring(NamedTuple):
    """What the filter says of each entry."""

    chance: Floats
    """P(event)."""
    log_likelihood: NDArray[np.float64]
    """Of all that came and did not come."""


def recurs(evidence: PhaseEvidence) -> Recurring:
    """Follow each phase from the oldest period to the newest."""
    prior = _PRIOR * evidence.share
    first = np.stack((1 - prior, *(prior / len(_SHARES) for _ in _SHARES)))
    likely = np.stack((evidence.by_chance, *(np.full_like(prior, share) for share in _SHARES)))
    unlikely = 1 - likely
    belief, log_likelihood = first.copy(), np.zeros_like(prior)
    is_event = _bits(evidence.came)
    is_counted = ~_bits(evidence.ignored) & (np.arange(LONGEST + 1)[:, None] <= evidence.periods)
    for number in range(LONGEST, 0, -1):
        counted = is_counted[number]
        if not counted.any():
            continue
        after = belief * np.where(is_event[number], likely, unlikely)
        likelihood = after.sum(axis=0)
        after *= (1 - _CHANGE) / likelihood
        after += _CHANGE * first
        log_likelihood += np.where(counted, np.log(likelihood), 0)
        belief = after if counted.all() else np.where(counted, after, belief)
    return Recurring(np.asarray(_SHARES @ belief[1:], dtype=np.float32), log_likelihood)


def mixed(joint: Recurring, own: Recurring, other: Recurring) -> Floats:
    """P(event) where the periods may be alike, or of two kinds that are followed each on its own.

    ``joint``: of all periods; ``own``: of those of this kind alone; ``other``: of those of the other kind alone.
    """
    excess = joint.log_likelihood - own.log_likelihood - other.log_likelihood + np.log((1 - _TWO_KINDS) / _TWO_KINDS)
    share = 1 / (1 + np.exp(np.clip(excess, -50, 50)))
    return np.asarray(joint.chance + share * (own.chance - joint.chance), dtype=np.float32)


def range_bits(first: Columns, last: Columns) -> Columns:
    """The bits from ``first`` to ``last``, none where that is less."""
    low, high = np.clip(first, 0, LONGEST + 1), np.clip(last + 1, 0, LONGEST + 1)
    return np.asarray(np.where(high > low, (np.int64(1) << high) - (np.int64(1) << low), 0))


def _bits(numbers: Columns) -> NDArray[np.bool_]:
    """Each bit of numbers: (LONGEST + 1, entries)."""
    return np.asarray(numbers >> np.arange(LONGEST + 1, dtype=np.int64)[:, None] & 1 == 1)
