from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.core import score
from forestall.core.score import UNKNOWN

NAN = float("nan")
FLAGS = st.lists(st.sampled_from([0, 1, UNKNOWN]), min_size=1, max_size=60).map(
    lambda values: np.array(values, np.int8)
)
CHANCES = st.lists(st.floats(0, 1) | st.just(NAN), min_size=1, max_size=60).map(np.array)


def flags(text):
    """Return flags from a text: `x` past the limit, `.` within, `?` unknown."""
    return np.array([{"x": 1, ".": 0, "?": UNKNOWN}[character] for character in text], dtype=np.int8)


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("....xx....", [4]),
        ("....x.x.x.....x", [4, 14]),  # to and fro is one event
        ("....x..x...", [4]),  # not calm for three steps
        ("....x...x..", [4, 8]),
        ("xxx....x", [7]),  # what was there from the beginning began before
        ("x.x", []),
        (".x", [1]),  # quiet from the first step that is known
        ("??.x", [3]),
        ("....x??????x", [4]),  # not knowing is not calm
        ("..??..x??x", [6]),
        ("....", []),
        ("????", []),
        ("", []),
    ],
)
def test_an_event_begins_after_a_calm(text, events):
    assert score.onsets(flags(text), calm=3).tolist() == events


def test_the_next_action_follows_when_the_horizon_is_over():
    chance = np.array([0.9, 0.9, 0.2, 0.9, 0.9, 0.9, NAN, 0.9])
    assert score.action_steps(chance, np.full(8, 3), 0.5).tolist() == [0, 4]
    assert score.action_steps(chance, np.full(8, 1), 0.5).tolist() == [0, 3, 5, 7]
    assert score.action_steps(chance, np.full(8, 3), 0.95).tolist() == []


def tally(text, *acted, horizon=3, calm=3):
    """Return what came of actions in a time as `flags` takes it."""
    breached = flags(text)
    return score.action_outcomes(
        np.array(acted), np.full(breached.size, horizon), score.onsets(breached, calm), breached
    )


def test_actions_are_true_false_or_undecided():
    outcomes = tally("....xx.......xx.....", 2, 8, 12, 18)
    assert (outcomes.true.tolist(), outcomes.false.tolist()) == ([2, 12], [8])  # the time ends before 18 + 3
    assert (outcomes.events, outcomes.lead.tolist(), outcomes.recall) == (2, [2, 1], 1)


def test_an_action_before_the_limit_is_passed_again_is_not_false():
    outcomes = tally("....xx..x.......", 6, 9)
    assert outcomes.repeated.tolist() == [6]
    assert outcomes.false.tolist() == [9]
    assert outcomes.recall == 0


def test_an_action_before_a_gap_is_undecided():
    assert tally("....??.......", 3).false.tolist() == []
    assert tally("....?........", 3).false.tolist() == [3]


def test_an_event_at_the_step_of_the_action_has_no_lead():
    outcomes = tally("....x...............", 4)
    assert (outcomes.recall, outcomes.true.tolist(), outcomes.false.tolist()) == (0, [], [4])


def test_recall_without_events_is_nan():
    assert np.isnan(tally("..........", 4).recall)


@given(CHANCES, st.integers(1, 9), st.floats(0, 1))
def test_actions_never_overlap_and_reach_the_threshold(chance, horizon, threshold):
    steps = score.action_steps(chance, np.full(chance.size, horizon), threshold)
    assert (np.diff(steps) > horizon).all()
    assert (chance[steps] >= threshold).all()
    likely = np.flatnonzero(chance >= threshold)
    covered = {step + ahead for step in steps.tolist() for ahead in range(horizon + 1)}
    assert set(likely.tolist()) <= covered


@given(FLAGS, CHANCES, st.integers(1, 9), st.floats(0, 1))
def test_every_action_has_at_most_one_outcome_and_no_lead_is_longer_than_the_horizon(
    breached, chance, horizon, threshold
):
    length = min(breached.size, chance.size)
    horizons = np.full(length, horizon)
    events = score.onsets(breached[:length], calm=2)
    acted = score.action_steps(chance[:length], horizons, threshold)
    outcomes = score.action_outcomes(acted, horizons, events, breached[:length])
    ends = [*outcomes.true.tolist(), *outcomes.false.tolist(), *outcomes.repeated.tolist()]
    assert len(ends) == len(set(ends))
    assert set(ends) <= set(acted.tolist())
    assert all(not (breached[step + 1 : step + 1 + horizon] == 1).any() for step in outcomes.false.tolist())
    assert outcomes.lead.size <= outcomes.events
    assert ((outcomes.lead > 0) & (outcomes.lead <= horizon)).all()
    if outcomes.true.size:
        assert outcomes.lead.size


def test_the_best_threshold_keeps_to_the_budget():
    def outcomes(caught, false, lead=1.0):
        leads = np.full(caught, lead)
        return replace(score.NO_OUTCOMES, events=4, lead=leads, true=np.arange(caught), false=np.arange(false))

    tallies = [outcomes(4, 9), outcomes(3, 2, 9.0), outcomes(3, 1), outcomes(1, 0)]
    assert score.best_threshold(tallies, weeks=1, max_false_per_week=9) == 0
    assert (
        score.best_threshold(tallies, weeks=1, max_false_per_week=2) == 2
    )  # of equals the one with fewer false actions
    assert (
        score.best_threshold([outcomes(3, 1, 5.0), outcomes(3, 1, 7.0), outcomes(3, 1)], weeks=1, max_false_per_week=2)
        == 1
    )  # the longest lead
    assert (
        score.best_threshold([outcomes(3, 1), outcomes(3, 1)], weeks=1, max_false_per_week=2) == 1
    )  # and else the highest
    assert score.best_threshold(tallies, weeks=1, max_false_per_week=0) == 3
    assert score.best_threshold(tallies[:1], weeks=1, max_false_per_week=1) is None
    assert score.best_threshold(tallies[:1], weeks=9, max_false_per_week=1) == 0


@given(st.lists(st.floats(-1e3, 1e3) | st.just(NAN), min_size=1, max_size=40).map(np.array), st.integers(1, 9))
def test_extremes_ahead_are_those_of_the_steps_that_follow(values, steps):
    extremes = score.extremes_ahead(values, steps, above=True)
    for step in range(values.size):
        ahead = values[step + 1 : step + 1 + steps]
        finite = ahead[np.isfinite(ahead)]
        if ahead.size < steps or finite.size * 2 <= steps:
            assert np.isnan(extremes[step])
        else:
            assert extremes[step] == finite.max()
    np.testing.assert_array_equal(score.extremes_ahead(-values, steps, above=False), -extremes)


def test_brier_of_certainty_that_comes_true_is_zero():
    came = flags("x.x?.")
    assert score.brier(np.array([1, 0, 1, 0.3, NAN]), came) == 0
    assert score.brier(np.full(5, 0.5), came) == 0.25
    assert np.isnan(score.brier(np.full(1, 0.5), flags("?")))


@given(FLAGS, st.integers(1, 9), st.integers(0, 59))
def test_climatology_does_not_know_the_future(came, steps, now):
    changed = came.copy()
    changed[max(0, now - steps + 1) :] = 1
    before, after = score.climatology(came, steps), score.climatology(changed, steps)
    np.testing.assert_array_equal(before[: now + 1], after[: now + 1])
    assert ((before > 0) & (before < 1)).all()


def test_calibration_compares_forecasts_with_outcomes():
    groups = score.reliability(np.array([0.11, 0.13, 0.95, 1.0, NAN, 0.5]), flags("..x.x?"))
    assert [(round(group.forecast, 3), group.observed, group.count) for group in groups] == [
        (0.12, 0, 2),
        (0.975, 0.5, 2),
    ]
    assert score.calibration_error(groups) == pytest.approx((0.12 * 2 + 0.475 * 2) / 4)
    assert np.isnan(score.calibration_error(()))


def test_a_value_on_a_bound_is_within_the_bounds():
    within = score.within_bounds(np.array([1, 2, 3, NAN, 5]), np.array([1, 0, 0, 0, NAN]), np.array([2, 1, 3, 1, 9]))
    np.testing.assert_array_equal(within, [1, 0, 1, NAN, NAN])


def test_the_worst_day_needs_a_third_of_a_day():
    times = np.arange(0, 3 * 86400, 3600.0)
    within = np.ones(times.size)
    within[24:48] = np.tile([1, 0], 12)
    within[48:] = NAN
    within[50:56] = 0  # a quarter of the third day
    assert score.worst_day(times, within) == 0.5
    assert np.isnan(score.worst_day(times, np.full(times.size, NAN)))
