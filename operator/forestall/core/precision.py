"""The precision of everything that is measured, and what it means there that a limit is passed.

The matrix keeps float32, so a value and its limit are compared as float32 wherever they meet: what differs from its
limit by less than float32 tells (a relative 6e-8) touches the limit, and touching is not passing, on either side. A
rounded value compared with a limit that is not rounded would find 0.1 to be more than 0.1. Only where the limit lies
just between two float32, as some whole numbers above 2**24 do, a hair beyond it is past it.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGEST: Final = 1e36
"""The largest size of a value: it leaves room in float32 for sums and extrapolations. What is larger is a gap."""
RELATIVE: Final = 2.0**-23
"""The largest relative distance of a value from its neighbour: what is computed from values is no more exact."""
_DIGITS: Final = 17  # that tell any two numbers apart
_FURTHEST: Final = 1e37  # where a limit lies that no value reaches


def narrow(values: ArrayLike) -> NDArray[np.float32]:
    """Return `values` as float32; what is too large, or infinite, is NaN."""
    wide = np.asarray(values)
    return np.where(np.abs(wide) <= LARGEST, wide, np.nan).astype(np.float32)


def narrow_limits(limits: ArrayLike) -> NDArray[np.float32]:
    """Return `limits` as float32, to be compared with narrowed values; one beyond all values stays beyond them."""
    return np.asarray(np.clip(limits, -_FURTHEST, _FURTHEST), dtype=np.float32)


def is_past(values: ArrayLike, limit: float, *, above: bool) -> NDArray[np.bool_]:
    """Return which `values` are past `limit`; a value that is not known, or too large to be kept, is not."""
    value, bound = narrow(values), narrow_limits(limit)
    return np.asarray(value > bound if above else value < bound)


def passes(value: float, limit: float, *, above: bool) -> bool:
    """Say of one value what :func:`is_past` says of many."""
    # Rounding keeps the order, so what is not beyond the limit as it stands is not past it; mostly that is all.
    if not (value > limit if above else value < limit) or abs(value) > LARGEST:
        return False
    return bool(np.float32(value) != np.float32(min(max(limit, -_FURTHEST), _FURTHEST)))


def written(value: float, limit: float) -> tuple[str, str]:
    """Return a value and its limit for people: in four digits, or in as many more as it takes to tell them apart.

    They read alike only where the value touches the limit, so that nothing is said to be 99.9 and past 99.9.
    """
    pair = (f"{value:.4g}", f"{limit:.4g}")
    if pair[0] != pair[1] or not (passes(value, limit, above=True) or passes(value, limit, above=False)):
        return pair
    pairs = [(f"{value:.{digits}g}", f"{limit:.{digits}g}") for digits in range(5, _DIGITS + 1)]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[-1])


def percent(share: float, digits: int = 0) -> str:
    """Return a finite share in percent, for people.

    Only what is all of it is called 100 %, only nothing 0 %, and what is less than nothing `<0%`.
    """
    text = f"{share * 100:.{digits}f}"
    if share < 0 and float(text) == 0.0:
        return "<0%"
    least = 10.0**-digits
    if 0 < share < 1 and float(text) in (0.0, 100.0):
        return f"<{least:.{digits}f}%" if float(text) == 0.0 else f">{100 - least:.{digits}f}%"
    return f"{text}%"


def percents(share: float, other: float) -> tuple[str, str]:
    """Return two finite shares in percent, in as many digits as it takes to tell them apart, if they differ."""
    pair = percent(share), percent(other)
    for digits in range(1, _DIGITS):
        if pair[0] != pair[1] or share == other:
            break
        pair = percent(share, digits), percent(other, digits)
    return pair
