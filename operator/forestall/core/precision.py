"""The precision of measured values, and when a value passes its limit.

The matrix keeps float32, so values and limits are always compared as float32: a value that differs from its limit by
less than float32 resolves (6e-8, relative) is at the limit, and does not pass it, in either direction. A rounded value
compared with an unrounded limit would make 0.1 more than 0.1. Only where a limit lies exactly between two float32
numbers, as some integers above 2**24 do, the next float32 passes it.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_VALUE: Final = 1e36
"""The largest absolute value: it leaves room in float32 for sums and extrapolations. A larger value is a gap."""
RELATIVE_PRECISION: Final = 2.0**-23
"""The largest relative distance between neighbouring float32 numbers: results of computations are no more exact."""
_DIGITS: Final = 17  # that tell any two numbers apart
_FURTHEST: Final = 1e37  # where a limit lies that no value reaches


def narrow(values: ArrayLike) -> NDArray[np.float32]:
    """Return `values` as float32, with NaN for those that are too large or infinite."""
    wide = np.asarray(values)
    return np.where(np.abs(wide) <= MAX_VALUE, wide, np.nan).astype(np.float32)


def narrow_limits(limits: ArrayLike) -> NDArray[np.float32]:
    """Return `limits` as float32, for comparison with narrowed values; a limit beyond all values stays beyond them."""
    return np.asarray(np.clip(limits, -_FURTHEST, _FURTHEST), dtype=np.float32)


def is_past(values: ArrayLike, limit: float, *, above: bool) -> NDArray[np.bool_]:
    """Return which `values` are past `limit`; NaN and values that are too large are not."""
    value, bound = narrow(values), narrow_limits(limit)
    return np.asarray(value > bound if above else value < bound)


def passes(value: float, limit: float, *, above: bool) -> bool:
    """Return :func:`is_past` for one value."""
    # Rounding keeps the order: a value within the unrounded limit is within the rounded one. Mostly this decides.
    if not (value > limit if above else value < limit) or abs(value) > MAX_VALUE:
        return False
    return bool(np.float32(value) != np.float32(min(max(limit, -_FURTHEST), _FURTHEST)))


def format_value_and_limit(value: float, limit: float) -> tuple[str, str]:
    """Return a value and its limit for people: with four significant digits, or as many more as distinguish them.

    The two texts are equal only where the value is at its limit: no message says that 99.9 is past 99.9.
    """
    pair = (f"{value:.4g}", f"{limit:.4g}")
    if pair[0] != pair[1] or not (passes(value, limit, above=True) or passes(value, limit, above=False)):
        return pair
    pairs = [(f"{value:.{digits}g}", f"{limit:.{digits}g}") for digits in range(5, _DIGITS + 1)]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[-1])


def format_percent(share: float, digits: int = 0) -> str:
    """Return a finite share in percent, for people.

    Only exactly 1 is `100%` and only exactly 0 is `0%`; a negative share that rounds to zero is `<0%`.
    """
    text = f"{share * 100:.{digits}f}"
    if share < 0 and float(text) == 0.0:
        return "<0%"
    least = 10.0**-digits
    if 0 < share < 1 and float(text) in (0.0, 100.0):
        return f"<{least:.{digits}f}%" if float(text) == 0.0 else f">{100 - least:.{digits}f}%"
    return f"{text}%"


def format_percent_pair(share: float, other: float) -> tuple[str, str]:
    """Return two finite shares in percent, with as many digits as distinguish them."""
    pair = format_percent(share), format_percent(other)
    for digits in range(1, _DIGITS):
        if pair[0] != pair[1] or share == other:
            break
        pair = format_percent(share, digits), format_percent(other, digits)
    return pair
