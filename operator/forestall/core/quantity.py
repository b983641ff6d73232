"""Kubernetes quantities, such as `500m`, `1.5Gi` or `2e3`."""

import re
from decimal import ROUND_CEILING, Decimal
from typing import Final

from forestall.errors import InvalidInput

_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d{1,2})|([KMGTPE]i|[numkMGTPE]))?", re.ASCII)
_LONGEST: Final = 64
_SUFFIXES: Final = {
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{
        suffix: Decimal(1000) ** power
        for power, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), -3)
    },
}


def to_milli(quantity: str | float) -> int:
    """Return a quantity in milli-units, rounded up: `250m` is 250, and `1Ki` is 1024000.

    The grammar is that of `k8s.io/apimachinery/pkg/api/resource.Quantity`.

    Raises:
        InvalidInput: it is not a quantity.
    """
    try:
        text = str(quantity)
    except ValueError as error:  # an integer with more digits than Python converts
        raise InvalidInput("a quantity of thousands of digits") from error
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise InvalidInput(f"{text[:40]!r} is not a quantity such as 500m or 2Gi")
    number, exponent, suffix = match.groups()
    value = Decimal(number + (exponent or "")) * _SUFFIXES[suffix or ""]
    return int((value * 1000).to_integral_value(ROUND_CEILING))
