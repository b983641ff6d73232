"""Whether an event recurs follows from the periods in which it came, one after the other."""

import numpy as np
import pytest

from forestall.core.forecast.recurrence_filter import PhaseEvidence, mixed, range_bits, recurs

WEEKEND = sum(1 << back for back in range(1, 29) if back % 7 in (1, 2))
"""Bits of the Saturdays and Sundays before a Monday."""


def evidence(came, periods, *, by_chance=0.01, ignored=0):
    """The evidence of one phase; `came` lists the periods ago."""
    bits = sum(1 << back for back in came)
    came, ignored, periods = (np.array([number], dtype=np.int64) for number in (bits, ignored, periods))
    return PhaseEvidence(came, ignored, periods, np.array([by_chance]), np.array([0.0125]))


def chance(*args, **changes):
    return recurs(evidence(*args, **changes)).chance[0]


@pytest.mark.parametrize(("came", "bounds"), [((), (0, 0.01)), ((1, 2), (0.2, 0.5)), ((1, 2, 3, 4), (0.8, 1))])
def test_each_repetition_makes_the_next_one_more_probable(came, bounds):
    assert bounds[0] <= chance(came, 10) <= bounds[1]


@pytest.mark.parametrize(("missed", "most"), [(1, 0.8), (2, 0.3), (3, 0.1)])
def test_periods_without_the_event_end_the_recurrence(missed, most):
    assert chance(range(1 + missed, 9 + missed), 10 + missed) < most


def test_events_that_are_frequent_by_chance_need_more_repetitions():
    assert chance((1, 2), 10, by_chance=0.3) < 0.2 < chance((1, 2), 10)


def test_ignored_periods_are_no_periods_without_the_event():
    assert chance((3, 4, 5, 6), 8, ignored=0b110) == pytest.approx(chance((1, 2, 3, 4), 6), abs=0.01)


def test_periods_before_the_first_known_one_do_not_count():
    assert chance((1, 2), 2) > chance((1, 2), 20)


@pytest.mark.parametrize(("weeks", "least"), [(1, 0.5), (2, 0.85)])
def test_working_days_are_told_from_weekends_by_what_came(weeks, least):
    came = [back for back in range(1, 7 * weeks + 1) if not WEEKEND >> back & 1]
    whole = evidence(came, 7 * weeks)
    monday = mixed(recurs(whole), recurs(whole.without(WEEKEND)), recurs(whole.without(~WEEKEND)))
    saturday = mixed(recurs(whole), recurs(whole.without(~WEEKEND)), recurs(whole.without(WEEKEND)))
    assert monday[0] > least
    assert saturday[0] < 0.2


def test_days_that_are_all_alike_are_of_one_kind():
    whole = evidence(range(1, 15), 14)
    monday = mixed(recurs(whole), recurs(whole.without(WEEKEND)), recurs(whole.without(~WEEKEND)))
    assert monday == pytest.approx(recurs(whole).chance, abs=0.02)


def test_bits_of_a_range():
    bits = range_bits(np.array([1, 3, 5, -4]), np.array([2, 3, 4, 0]))
    assert bits.tolist() == [0b110, 0b1000, 0, 1]
