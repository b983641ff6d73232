"""How sure a backtest is. The kind of fault to be kept out: a recommendation that hides on how little it rests."""

import json
import math

import pytest

from forestall.backtest.conclusion import bounds, conclusion, counted
from forestall.backtest.data import data
from forestall.backtest.page import page
from forestall.backtest.replay import Span
from forestall.backtest.verdict import Forecaster, Judgement, Lead, Point, Verdict
from forestall.core.binomial import share_bounds


def verdict(hits, events, recommended=0.5):
    point = Point(0.5, hits / events if events else math.nan, 0.0, Lead(600.0, 300.0, 1.0))
    mine = Forecaster("forestall", 0.1, 0.5, (point,), (point, point))
    return Verdict(
        name="x",
        weeks=2.0,
        events=events,
        origins=9,
        abstained=0.0,
        silences=(),
        forestall=mine,
        others=(),
        calibration=(),
        calibration_error=0.0,
        coverage=0.9,
        worst_day=0.9,
        recommended=recommended,
        as_configured=None,
        lead_time=300.0,
    )


@pytest.mark.parametrize(
    ("hits", "of", "lower", "upper"),
    [(1, 1, 0.025, 1.0), (0, 1, 0.0, 0.975), (4, 6, 0.2228, 0.9567), (30, 40, 0.5880, 0.8731), (0, 10, 0.0, 0.3085)],
)
def test_the_bounds_are_those_of_clopper_and_pearson(hits, of, lower, upper):
    assert share_bounds(hits, of) == pytest.approx((lower, upper), abs=1e-4)


def test_more_events_make_it_surer_and_none_say_nothing():
    widths = [high - low for low, high in (share_bounds(of // 2, of) for of in (2, 10, 100, 5000))]
    assert widths == sorted(widths, reverse=True)
    assert all(math.isnan(bound) for bound in share_bounds(0, 0))


def test_one_event_is_said_to_be_one_event():
    words = conclusion(verdict(1, 1))
    assert "100 % of the events (1 of 1)" in words
    assert "between 2 % and 100 %" in words
    assert "rests on a single event, which is too little to choose a threshold by" in words


def test_few_events_are_said_to_be_few_and_enough_are_not():
    assert "only 4 events" in conclusion(verdict(3, 4))
    assert "only 2 events" in conclusion(verdict(0, 2, recommended=None))
    assert "rests on" not in conclusion(verdict(5, 6))
    assert "nothing can be said about recall" in conclusion(verdict(0, 0, recommended=None))


def test_how_many_were_foreseen_stands_beside_the_share():
    assert counted(verdict(4, 6).forestall.within[0], 6) == "4 of 6, 22 % to 96 %"
    assert counted(None, 3) == "- of 3"
    assert bounds(verdict(4, 6).forestall.curve[0], 6) == pytest.approx((0.2228, 0.9567), abs=1e-4)


def test_page_and_json_say_the_same():
    one = Judgement(Span(0.0, 3600.0, 60.0), -3600.0, (), verdict(1, 1), ())
    assert "rests on a single event" in page(one)
    told = json.loads(json.dumps(data(one)))["total"]
    assert "rests on a single event" in told["conclusion"]
    assert told["forecasters"][0]["thresholds"][0]["recallBounds"] == {
        "lower": 0.025,
        "upper": 1.0,
        "confidence": 0.95,
    }
