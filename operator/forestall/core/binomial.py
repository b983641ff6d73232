"""How sure a share is that was counted: the exact interval of Clopper and Pearson.

Source: Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial (1934).
"""

import math
from typing import Final

import numpy as np

CONFIDENCE: Final = 0.95
_HALVINGS: Final = 50


def share_bounds(hits: int, of: int) -> tuple[float, float]:
    """Return between what and what the true share lies, with `CONFIDENCE`, when `hits` `of` so many were counted.

    NaN where nothing was counted.
    """
    if of == 0:
        return math.nan, math.nan
    rest = (1 - CONFIDENCE) / 2
    lower = 0.0 if hits == 0 else _share(of, hits, rest)
    upper = 1.0 if hits == of else 1 - _share(of, of - hits, rest)
    return lower, upper


def _share(of: int, hits: int, chance: float) -> float:
    """Return the share at which at least `hits` `of` so many come with this chance."""
    factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, of + 1)))))
    count = np.arange(hits, of + 1)
    ways = factorial[of] - factorial[count] - factorial[of - count]
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tail = np.exp(ways + count * math.log(middle) + (of - count) * math.log1p(-middle)).sum()
        low, high = (middle, high) if tail < chance else (low, middle)
    return (low + high) / 2
