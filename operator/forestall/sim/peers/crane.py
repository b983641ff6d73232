"""Crane's Effective HPA with its DSP prediction: what repeats itself is expected again.

Source: Crane, "Time Series Forecast Algorithm - DSP" and "EffectiveHPA": gaps are filled and outliers cut; a day or a
week is the period where the autocorrelation there is high; the forecast is the highest value at the same time of the
last cycles (the `maxValue` estimator), times one plus `marginFraction`; the largest forecast within the prediction
window is one more metric of an HPA, which takes the highest recommendation.
"""

from typing import Final

import numpy as np

from forestall.sim.peers.base import Floats, Ints, Seen, every
from forestall.sim.peers.behavior import Behavior
from forestall.sim.peers.hpa import SYNC
from forestall.sim.peers.keda import by_average_value

_BLOCK: Final = 60.0
_PERIODS: Final = (1440, 10080)
_CYCLES: Final = 3
_ALIKE: Final = 0.5
"""Autocorrelation at the period from which a series counts as periodic."""
_AGAIN: Final = 3600.0
"""Seconds between two predictions."""
_OUTLIERS: Final = 99.9


class Crane:
    """`target` as for KEDA, `margin`: `marginFraction`, `window`: the prediction window (s), for each service."""

    def __init__(self, target: Floats, window: Floats, margin: float = 0.1) -> None:
        self._target, self._window, self._margin = target, window, margin
        self._behavior = Behavior()
        self._ahead = np.zeros((0, 0))
        self._made = 0.0

    def wanted(self, seen: Seen) -> Ints:
        """See the protocol."""
        if not every(seen, SYNC):
            return seen.scales.replicas
        if not len(self._ahead) or every(seen, _AGAIN):
            self._predict(seen)
        each = self._target * seen.capacity
        now = by_average_value(seen.scales.replicas, seen.rate, each)
        then = by_average_value(seen.scales.replicas, self._largest(seen), each)
        return self._behavior.settle(np.maximum(now, then), seen)

    def _predict(self, seen: Seen) -> None:
        past = seen.loads.blocks(seen.step, _BLOCK, _CYCLES * _PERIODS[-1])
        self._ahead = np.stack([forecast(row, self._margin) for row in past])
        self._made = seen.now

    def _largest(self, seen: Seen) -> Floats:
        first = int((seen.now - self._made) // _BLOCK)
        last = np.minimum(first + 1 + (self._window // _BLOCK).astype(np.int64), self._ahead.shape[1])
        rows = seen.loads.of
        return np.array([self._ahead[row, first:end].max(initial=0.0) for row, end in zip(rows, last, strict=True)])


def forecast(past: Floats, margin: float) -> Floats:
    """Return what the coming 24 hours bring, by minutes; zeros where nothing repeats itself."""
    known = past[~np.isnan(past)]
    if not len(known):
        return np.zeros(1440)
    known = np.minimum(known, np.percentile(known, _OUTLIERS))
    period = _period(known)
    if period is None:
        return np.zeros(1440)
    cycles = min(_CYCLES, len(known) // period)
    shaped = known[-cycles * period :].reshape(cycles, period)
    return np.asarray(np.resize(shaped.max(axis=0), max(period, 1440))[:1440] * (1 + margin))


def _period(values: Floats) -> int | None:
    """Return the period with the highest autocorrelation; None where none is high."""
    best, found = _ALIKE, None
    for period in _PERIODS:
        if len(values) < 2 * period:
            continue
        before, after = values[:-period], values[period:]
        if before.std() == 0 or after.std() == 0:
            continue
        alike = float(np.corrcoef(before, after)[0, 1])
        if alike > best:
            best, found = alike, period
    return found
