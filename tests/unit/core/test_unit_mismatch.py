"""A limit out of all proportion to the values is said; one that is only far away is not."""

import math

import pytest

from forestall.core.unit_mismatch import unit_mismatch


@pytest.mark.parametrize(
    ("limit", "low", "high", "above", "expected"),
    [
        (90, 0.3, 0.52, True, "Write 0.9"),
        (0.9, 40, 60, True, "Write 90"),
        (0.3, 200, 900, True, "are both in the same unit?"),
        (500, 200e6, 400e6, True, "all values seen"),
        (500e6, 100, 300, True, "far from the limit"),
        (10, 0.4, 0.5, False, "all values seen"),
        (0.1, 20, 60, False, "far from the limit"),
    ],
)
def test_limits_in_another_unit(limit, low, high, above, expected):
    """Kind: a limit in another unit than the values, which is silent for ever or passed for ever."""
    message = unit_mismatch(limit, low, high, above=above)
    assert message is not None
    assert expected in message


@pytest.mark.parametrize(
    ("limit", "low", "high", "above"),
    [
        (0.8, 0.1, 0.6, True),
        (100, 3, 9, True),  # a queue is mostly short
        (0.8, 0.9, 1.4, True),
        (5, 0.0, 0.0, True),
        (0.0, 3, 9, True),
        (90, -0.3, 0.5, True),
        (90, math.nan, math.nan, True),
        (0.2, 0.5, 0.9, False),
    ],
)
def test_limits_in_the_same_unit(limit, low, high, above):
    assert unit_mismatch(limit, low, high, above=above) is None
