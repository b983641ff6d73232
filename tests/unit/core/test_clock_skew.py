"""Clock skew: whose clock is wrong, and what is held.

Kind: the time of a decision is another than the time of the data that it rests on.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.core.clock_skew import MAX_SKEW, ClockOffset, compare_clocks, server_offset

RIGHT = ClockOffset(-0.6, 0.6)


def skewed_by(seconds):
    return ClockOffset(RIGHT.low + seconds, RIGHT.high + seconds)


@given(
    ahead=st.floats(-7200, 7200),
    sent=st.floats(1.7e9, 1.9e9),
    before=st.floats(0, 30),
    after=st.floats(0, 30),
)
def test_the_true_offset_is_always_within_the_bounds(ahead, sent, before, after):
    date = float(int(sent + before + ahead))  # the server reads its clock, to the second, while it answers
    offset = server_offset(date, sent, sent + before + after)
    assert offset.low - 1e-6 <= ahead <= offset.high + 1e-6
    assert offset.high - offset.low == pytest.approx(1 + before + after, abs=1e-5)


@given(ahead=st.floats(-MAX_SKEW, MAX_SKEW), took=st.floats(0, 60))
def test_clocks_that_agree_have_no_skew_however_slow_the_response(ahead, took):
    date = float(int(1.8e9 + took / 2 + ahead))
    assert server_offset(date, 1.8e9, 1.8e9 + took).skew == 0.0


@pytest.mark.parametrize("ahead", [-7200, -3600, -60, -10, 10, 60, 3600, 7200])
def test_a_skew_of_more_than_a_few_seconds_is_detected(ahead):
    offset = server_offset(float(int(1.8e9 + 0.5 + ahead)), 1.8e9, 1.8e9 + 1)
    assert offset.skew * ahead > 0
    assert offset.skew == pytest.approx(ahead, abs=2)


def test_clocks_that_agree_hold_nothing():
    clocks = compare_clocks(RIGHT, {"main": RIGHT, "far": ClockOffset(-20.0, 20.0)})
    assert (clocks.global_reason, clocks.source_reasons) == (None, {})
    assert set(clocks.offsets.values()) == {0.0}
    assert compare_clocks(None, {}).reason_for("main") is None


@pytest.mark.parametrize(("seconds", "offset_text"), [(3600, "1h behind"), (-3600, "1h ahead of")])
def test_the_clock_of_this_process_is_wrong_where_all_others_agree(seconds, offset_text):
    clocks = compare_clocks(skewed_by(seconds), {"main": skewed_by(seconds)})
    assert clocks.reason_for("main") == clocks.reason_for("any other") == clocks.global_reason
    assert f"this process's clock is {offset_text} those of the API server and of metric source main" in str(
        clocks.global_reason
    )


def test_the_clock_of_the_api_server_is_wrong_where_the_sources_agree_with_this_process():
    clocks = compare_clocks(skewed_by(60), {"main": RIGHT})
    assert "the clock of the API server is" in str(clocks.global_reason)
    assert "ahead of this process's and those of the metric sources" in str(clocks.global_reason)


def test_without_a_source_it_is_unknown_whose_clock_is_wrong():
    assert "the clock of the API server is" in str(compare_clocks(skewed_by(-60), {}).global_reason)


def test_the_clock_of_a_source_is_wrong_where_the_api_server_agrees_with_this_process():
    clocks = compare_clocks(RIGHT, {"main": RIGHT, "bad": skewed_by(-3600)})
    assert clocks.global_reason is None
    assert clocks.reason_for("main") is None
    assert "the clock of metric source bad is 1h behind this process's, with which the API server" in str(
        clocks.reason_for("bad")
    )
    assert clocks.offsets["metric source bad"] == pytest.approx(-3600, abs=1)


def test_a_source_with_skew_holds_also_without_the_offset_of_the_api_server():
    assert "metric source bad" in str(compare_clocks(None, {"bad": skewed_by(30)}).reason_for("bad"))
