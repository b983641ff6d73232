"""Detect limits in another unit than the values of their indicator, such as 90 for a share from 0 to 1."""

import math
from typing import Final

_NEVER: Final = 50.0
"""A limit that is this many times the highest value is in another unit."""
_ALWAYS: Final = 10.0
"""So is a limit that all values exceed this many times."""
_SHARE: Final = 1.5
"""The largest value of a share: CPU usage as a share of its limit rises somewhat above 1."""


def unit_mismatch(limit: float, low: float, high: float, *, above: bool) -> str | None:
    """Return why `limit` can't belong to values from `low` to `high`, as a message; None where it may.

    `above`: values above the limit are the bad ones. Only values and limits above zero can be judged.
    """
    if not all(math.isfinite(value) and value > 0 for value in (limit, high)) or not math.isfinite(low) or low < 0:
        return None
    observed = f"{low:.4g} to {high:.4g}" if f"{low:.4g}" != f"{high:.4g}" else f"{high:.4g}"
    if (limit > _NEVER * high) if above else (low > _NEVER * limit):
        return f"the values seen are {observed}, far from the limit of {limit:g}{_hint(limit, high)}"
    if (low > _ALWAYS * limit) if above else (limit > _ALWAYS * high):
        return f"all values seen, {observed}, are far past the limit of {limit:g}{_hint(limit, high)}"
    return None


def _hint(limit: float, high: float) -> str:
    """Return the likely correction."""
    if high <= _SHARE < limit <= 100:
        return f": is it a percentage, and the values a share from 0 to 1? Write {limit / 100:g}"
    if limit <= _SHARE < high <= 100 * _SHARE:
        return f": is it a share, and the values percentages? Write {limit * 100:g}"
    return ": are both in the same unit?"
