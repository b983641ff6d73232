"""The confidence of a backtest. The kind of fault to keep out: a recommendation that hides its few events."""

import json
import math

import pytest

from forestall.backtest.conclusion import conclusion, describe_recall, recall_bounds
from forestall.backtest.json_report import report_data
from forestall.backtest.page import page
from forestall.backtest.replay import TimeRange
from forestall.backtest.results import Assessment, BacktestReport, ForecasterScore, LeadTime, OperatingPoint
from forestall.core.binomial import share_bounds


def assessment(hits, events, recommended=0.5):
    point = OperatingPoint(0.5, hits / events if events else math.nan, 0.0, LeadTime(600.0, 300.0, 1.0))
    own = ForecasterScore("forestall", 0.1, 0.5, (point,), (point, point))
    return Assessment(
        name="x",
        weeks=2.0,
        events=events,
        origins=9,
        abstained=0.0,
        abstentions=(),
        forestall=own,
        baselines=(),
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


def test_more_events_narrow_the_confidence_interval():
    widths = [high - low for low, high in (share_bounds(of // 2, of) for of in (2, 10, 100, 5000))]
    assert widths == sorted(widths, reverse=True)
    assert all(math.isnan(bound) for bound in share_bounds(0, 0))


def test_the_conclusion_warns_of_a_single_event():
    text = conclusion(assessment(1, 1))
    assert "100 % of the events (1 of 1)" in text
    assert "between 2 % and 100 %" in text
    assert "rests on a single event, too few to choose a threshold" in text


def test_the_conclusion_warns_of_few_events():
    assert "only 4 events" in conclusion(assessment(3, 4))
    assert "only 2 events" in conclusion(assessment(0, 2, recommended=None))
    assert "rests on" not in conclusion(assessment(5, 6))
    assert "nothing can be said about recall" in conclusion(assessment(0, 0, recommended=None))


def test_recall_has_counts_and_bounds():
    assert describe_recall(assessment(4, 6).forestall.within[0], 6) == "4 of 6, 22 % to 96 %"
    assert describe_recall(None, 3) == "- of 3"
    assert recall_bounds(assessment(4, 6).forestall.curve[0], 6) == pytest.approx((0.2228, 0.9567), abs=1e-4)


def test_page_and_json_have_the_same_conclusion():
    report = BacktestReport(TimeRange(0.0, 3600.0, 60.0), -3600.0, (), assessment(1, 1), ())
    assert "rests on a single event" in page(report)
    total = json.loads(json.dumps(report_data(report)))["total"]
    assert "rests on a single event" in total["conclusion"]
    assert total["forecasters"][0]["thresholds"][0]["recallBounds"] == {
        "lower": 0.025,
        "upper": 1.0,
        "confidence": 0.95,
    }
