"""What another time would change. Kind: a difference of a few minutes that is told as if it were always so."""

import numpy as np
import pytest

from forestall.sim.chance import bounds, draw


def fewer(*stretches, minutes=720):
    """Minutes that are saved in some stretches, each of first minute and length."""
    values = np.zeros((minutes, 1))
    for first, length in stretches:
        values[first : first + length] = 1
    return values


def test_what_lies_in_one_stretch_may_be_nothing_at_another_time():
    assert bounds(draw(fewer((100, 2)))[:, 0]).low == 0
    assert bounds(draw(fewer((100, 2)))[:, 0]).high >= 2


def test_what_comes_again_and_again_comes_again():
    found = bounds(draw(fewer(*((n, 5) for n in range(20, 720, 90))))[:, 0])
    assert 0 < found.low < 40 < found.high < 80


def test_what_is_always_so_is_certain():
    found = bounds(draw(np.full((720, 1), 0.5))[:, 0])
    assert found.low == pytest.approx(360) == found.high


@pytest.mark.parametrize("minutes", [1, 2, 59, 60, 61, 150, 2880])
def test_any_length_is_drawn_in_full_and_the_same_way_each_time(minutes):
    values = np.random.default_rng(3).normal(size=(minutes, 2))
    drawn = draw(np.column_stack((np.ones(minutes), values, values[:, 0])))
    assert drawn[:, 0] == pytest.approx(minutes)
    assert np.array_equal(drawn[:, 1], drawn[:, 3])  # the same minutes for all
    assert np.array_equal(drawn[:, 1], draw(values)[:, 0])
    assert drawn[:, 1].mean() == pytest.approx(values[:, 0].sum(), abs=3 * minutes**0.5)
