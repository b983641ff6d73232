"""The figures of a run."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.demo.figures import SLOT_S, Samples, is_bad, missed_cycles, run_figures, slots, validity_problem


def samples(good, total, pods=None) -> Samples:
    """Return a run from counter values, one a second."""
    times = [float(n) for n in range(len(total))]
    return Samples(times, {"good": good, "total": total, "pods": pods or [3.0] * len(total)})


def test_a_slot_is_bad_when_too_few_requests_were_good():
    run = samples([0, 10, 20, 29, 38, 38, 38], [0, 10, 20, 30, 40, 50, 60])
    assert [slot.good for slot in slots(run)] == [1.0, 0.9, 0.0]
    assert [is_bad(slot, 90) for slot in slots(run)] == [False, False, True]
    figures = run_figures(run, 90, minutes_per_second=10)
    assert figures.bad_minutes == SLOT_S * 10
    assert figures.minutes == 60
    assert figures.first_bad == 4
    assert figures.requests == 60
    assert figures.good == pytest.approx(38 / 60)


def test_a_slot_without_answers_is_bad():
    run = samples([0, 5, 10, 10, 10], [0, 5, 10, 10, 10])
    assert [is_bad(slot, 95) for slot in slots(run)] == [False, True]


def test_a_missing_counter_is_zero():
    run = samples([math.nan, math.nan, 8], [math.nan, 4, 8])
    assert slots(run)[0].good == 1.0
    broken = samples([math.nan, math.nan, math.nan], [math.nan, 4, 8])
    assert is_bad(slots(broken)[0], 95)


def test_a_scrape_that_was_missed_takes_nothing_back():
    """Kind: a gap is read as a counter of zero, and the share of good requests comes out above 1."""
    run = samples([0, 5, 10, 15, math.nan, 25, 30], [0, 5, 10, 15, math.nan, 25, 30])
    assert [slot.total for slot in slots(run)] == [10, 5, 15]
    assert run_figures(run, 95, minutes_per_second=1).good == 1.0


def test_replica_hours_are_pods_times_the_recorded_clock():
    run = samples([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], pods=[2, 2, math.nan, 4, 4])
    figures = run_figures(run, 95, minutes_per_second=30)
    assert figures.replica_hours == 12 * 0.5
    assert figures.most_replicas == 4


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=6, max_size=60), st.floats(1, 99.9))
def test_bad_minutes_never_exceed_the_run_and_need_a_bad_request(parts, objective):
    good, total = [0], [0]
    for fine, failed in parts:
        good.append(good[-1] + fine)
        total.append(total[-1] + fine + failed)
    figures = run_figures(samples(good, total), objective, minutes_per_second=1.0)
    assert 0 <= figures.bad_minutes <= figures.minutes
    assert (figures.first_bad is None) == (figures.bad_minutes == 0)
    if all(fine and not failed for fine, failed in parts):
        assert figures.bad_minutes == 0


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({}, ""),
        ({"lagging": 0.02, "late": 0.02, "unmeasured": 0.02, "missed": 0.02}, ""),
        ({"lagging": 0.06}, "event loop"),
        ({"late": 0.06}, "load generator"),
        ({"unmeasured": 0.2}, "scrapes"),
        ({"missed": 0.3}, "the operator's cycles"),
    ],
)
def test_a_run_on_a_slow_machine_is_invalid(shares, message):
    problem = validity_problem(**{"lagging": 0.0, "late": 0.0, "unmeasured": 0.0, "missed": 0.0, **shares})
    assert (message in problem) if message else problem == ""
    run = run_figures(samples([0, 1, 2], [0, 1, 2]), 95, 1.0, problem)
    assert run.as_json()["valid"] == (not message)


def test_missed_cycles_are_counted_from_the_first_cycle_on():
    assert missed_cycles([math.nan, 1.0, 2.0, 3.0, 4.0]) == 0
    assert missed_cycles([math.nan, 1.0, 1.0, 2.0, 2.0, 3.0]) == 0.5
    assert missed_cycles([math.nan, math.nan]) == 0
