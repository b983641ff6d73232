"""What another time of the same kind would change: the minutes that were played, drawn anew in blocks of an hour.

Bad minutes come in stretches, so whole blocks are drawn and not single minutes; all that is compared gets the same
blocks. A difference that rests on one stretch alone is missing in a third of the draws, and so counts for little.

Source: Politis and Romano, A circular block-resampling procedure for stationary data (1992).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LIKELY: Final = 0.8
"""The share of the draws that an interval holds, and in which a recommendation has to be right."""
_BLOCK: Final = 60
"""Minutes that are drawn together."""
_DRAWS: Final = 2000
_SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Interval:
    """Between what and what a number lies in `LIKELY` of the draws."""

    low: float
    high: float


def draw(values: Floats) -> Floats:
    """Return the sums over as many minutes as there are, drawn anew: (draws, columns) of `values` (minutes, columns).

    The same minutes are drawn for every column, and at every call with as many minutes.
    """
    minutes = len(values)
    block = min(_BLOCK, max(1, minutes // 2))
    count = -(-minutes // block)
    starts = np.random.default_rng(_SEED).integers(0, minutes, (_DRAWS, count))
    round_about = np.concatenate((values, values[:block]))
    sums = np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(round_about, axis=0)))
    blocks = (sums[block:] - sums[:-block])[starts]
    return np.asarray(blocks.sum(axis=1) * (minutes / (block * count)))


def bounds(draws: Floats) -> Interval:
    """Return between what and what a number lies that has these draws."""
    low, high = np.quantile(draws, ((1 - LIKELY) / 2, (1 + LIKELY) / 2))
    return Interval(float(low), float(high))
