"""Whether a limit can be meant for the values that an indicator has: nobody means 90 for what goes from 0 to 1."""

import math
from typing import Final

_NEVER: Final = 50.0
"""A limit so many times beyond all values is not meant for them."""
_ALWAYS: Final = 10.0
"""Nor is one that all values are past by so many times."""
_SHARE: Final = 1.5
"""A share is about 1 at the most: CPU of its limit goes somewhat above."""


def out_of_proportion(limit: float, low: float, high: float, *, above: bool) -> str | None:
    """Return in words why `limit` can't be meant for values from `low` to `high`; None where it may be.

    `above`: it is the values above the limit that hurt. What is not above zero has no proportion.
    """
    if not all(math.isfinite(value) and value > 0 for value in (limit, high)) or not math.isfinite(low) or low < 0:
        return None
    seen = f"{low:.4g} to {high:.4g}" if f"{low:.4g}" != f"{high:.4g}" else f"{high:.4g}"
    if (limit > _NEVER * high) if above else (low > _NEVER * limit):
        return f"the values seen are {seen}, far from the limit of {limit:g}{_meant(limit, high)}"
    if (low > _ALWAYS * limit) if above else (limit > _ALWAYS * high):
        return f"all values seen, {seen}, are far past the limit of {limit:g}{_meant(limit, high)}"
    return None


def _meant(limit: float, high: float) -> str:
    """Return what the author may have meant."""
    if high <= _SHARE < limit <= 100:
        return f": is it a percentage, and the values a share from 0 to 1? Write {limit / 100:g}"
    if limit <= _SHARE < high <= 100 * _SHARE:
        return f": is it a share, and the values percentages? Write {limit * 100:g}"
    return ": are both in the same unit?"
