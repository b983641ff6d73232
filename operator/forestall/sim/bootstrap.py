"""Block bootstrap of the simulated minutes: how sure a difference between controllers is.

Bad minutes come in runs, so whole blocks of an hour are resampled. All controllers get the same blocks. A difference
that comes from a single run is missing in a third of the resamples, so it counts for little.

Source: Politis and Romano, A circular block-resampling procedure for stationary data (1992).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE_LEVEL: Final = 0.8
"""Confidence of the intervals, and the least confidence of a recommendation."""
_BLOCK: Final = 60
"""Minutes in a block."""
_DRAWS: Final = 2000
_SEED: Final = 1


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """An interval with the confidence `CONFIDENCE_LEVEL`."""

    low: float
    high: float


def resample(values: Floats) -> Floats:
    """Return resampled sums, shape (draws, columns), of `values`, shape (minutes, columns).

    The draws are the same for every column, and for every call with the same number of minutes.
    """
    minutes = len(values)
    block = min(_BLOCK, max(1, minutes // 2))
    count = -(-minutes // block)
    starts = np.random.default_rng(_SEED).integers(0, minutes, (_DRAWS, count))
    wrapped = np.concatenate((values, values[:block]))
    sums = np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(wrapped, axis=0)))
    blocks = (sums[block:] - sums[:-block])[starts]
    return np.asarray(blocks.sum(axis=1) * (minutes / (block * count)))


def confidence_interval(draws: Floats) -> ConfidenceInterval:
    """Return the confidence interval of resampled sums."""
    low, high = np.quantile(draws, ((1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2))
    return ConfidenceInterval(float(low), float(high))
