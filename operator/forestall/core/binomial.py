"""Confidence intervals of a proportion: the exact interval of Clopper and Pearson.

Source: Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial (1934).
"""

import math
from typing import Final

import numpy as np

CONFIDENCE: Final = 0.95
_HALVINGS: Final = 50


def share_bounds(hits: int, total: int) -> tuple[float, float]:
    """Return the bounds of the true share, with `CONFIDENCE`, given `hits` of `total` trials.

    NaN where `total` is 0.
    """
    if total == 0:
        return math.nan, math.nan
    tail = (1 - CONFIDENCE) / 2
    lower = 0.0 if hits == 0 else _share_at(total, hits, tail)
    upper = 1.0 if hits == total else 1 - _share_at(total, total - hits, tail)
    return lower, upper


def _share_at(total: int, hits: int, probability: float) -> float:
    """Return the share at which at least `hits` of `total` trials succeed with this probability."""
    log_factorials = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, total + 1)))))
    count = np.arange(hits, total + 1)
    log_coefficients = log_factorials[total] - log_factorials[count] - log_factorials[total - count]
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        upper_tail = np.exp(log_coefficients + count * math.log(middle) + (total - count) * math.log1p(-middle)).sum()
        low, high = (middle, high) if upper_tail < probability else (low, middle)
    return (low + high) / 2
