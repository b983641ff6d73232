"""A backtest report as JSON data; unknown values are null."""

import math
from typing import Any

from forestall.api.times import stamp
from forestall.backtest.conclusion import conclusion, recall_bounds
from forestall.backtest.replay import TimeRange
from forestall.backtest.results import (
    BUDGETS,
    Assessment,
    BacktestReport,
    ForecasterScore,
    ObjectiveResult,
    OperatingPoint,
)
from forestall.core.binomial import CONFIDENCE

_OUTCOMES = {"foreseen": "Foreseen", "same event": "SameEvent", "in vain": "InVain", "open": "Open"}


def report_data(report: BacktestReport) -> dict[str, Any]:
    """Return the report as JSON data: times are RFC 3339, durations seconds."""
    time_range = report.time_range
    return {
        "start": stamp(time_range.start),
        "end": stamp(time_range.end),
        "stepSeconds": time_range.step,
        "learnedFrom": stamp(report.learn_from),
        "total": _assessment_data(report.total),
        "objectives": [_objective_data(result, time_range) for result in report.objectives],
        "notInHistory": list(report.missing),
    }


def _assessment_data(assessment: Assessment) -> dict[str, Any]:
    return {
        "name": assessment.name,
        "weeks": _number(assessment.weeks),
        "events": assessment.events,
        "forecastsCompared": assessment.origins,
        "abstained": _number(assessment.abstained),
        "abstentions": dict(assessment.abstentions),
        "recommendedThreshold": assessment.recommended,
        "conclusion": conclusion(assessment),
        "leadTimeSeconds": assessment.lead_time,
        "asConfigured": _point_data(assessment.as_configured, assessment.events),
        "calibrationError": _number(assessment.calibration_error),
        "calibration": [
            {"said": _number(group.forecast), "came": _number(group.observed), "count": group.count}
            for group in assessment.calibration
        ],
        "coverage": _number(assessment.coverage),
        "worstDay": _number(assessment.worst_day),
        "forecasters": [
            _forecaster_data(forecaster, assessment.events)
            for forecaster in (assessment.forestall, *assessment.baselines)
        ],
    }


def _forecaster_data(forecaster: ForecasterScore, events: int) -> dict[str, Any]:
    return {
        "name": forecaster.name,
        "brier": _number(forecaster.brier),
        "skill": _number(forecaster.skill),
        "atMostFalseActionsAWeek": {
            f"{budget:g}": _point_data(point, events) for budget, point in zip(BUDGETS, forecaster.within, strict=True)
        },
        "thresholds": [_point_data(point, events) for point in forecaster.curve],
    }


def _point_data(point: OperatingPoint | None, events: int) -> dict[str, Any] | None:
    if point is None:
        return None
    low, high = recall_bounds(point, events)
    return {
        "threshold": _number(point.threshold),
        "recall": _number(point.recall),
        "recallBounds": {"lower": _number(low), "upper": _number(high), "confidence": CONFIDENCE},
        "falseActionsAWeek": _number(point.false_a_week),
        "leadSecondsMedian": _number(point.lead.median),
        "leadSecondsP10": _number(point.lead.p10),
        "usefulRecall": _number(point.lead.useful),
    }


def _objective_data(result: ObjectiveResult, time_range: TimeRange) -> dict[str, Any]:
    times = time_range.times
    return {
        **_assessment_data(result.assessment),
        "indicators": sorted({track.indicator for track in result.record.tracks.values()}),
        "series": len(result.record.tracks),
        "eventTimes": [stamp(float(times[onset])) for onset in result.onsets],
        "wouldHaveDone": [
            {
                "at": stamp(float(times[action.proposed.step])),
                "policy": action.proposed.policy,
                "action": action.proposed.action,
                "because": action.proposed.message,
                "outcome": _OUTCOMES[action.outcome],
                "leadSeconds": _number(action.lead),
            }
            for action in result.actions
        ],
        "held": dict(sorted(result.record.holds.items())),
    }


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
