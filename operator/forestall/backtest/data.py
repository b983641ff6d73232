"""A report as plain data, for JSON. What is not known is null."""

import math
from typing import Any

from forestall.api.times import stamp
from forestall.backtest.conclusion import bounds, conclusion
from forestall.backtest.replay import Span
from forestall.backtest.verdict import BUDGETS, Case, Forecaster, Judgement, Point, Verdict
from forestall.core.binomial import CONFIDENCE

_OUTCOMES = {"foreseen": "Foreseen", "same event": "SameEvent", "in vain": "InVain", "open": "Open"}


def data(judgement: Judgement) -> dict[str, Any]:
    """Return the report; times are RFC 3339, durations seconds."""
    span = judgement.span
    return {
        "start": stamp(span.start),
        "end": stamp(span.end),
        "stepSeconds": span.step,
        "learnedFrom": stamp(judgement.learn_from),
        "total": _verdict(judgement.total),
        "objectives": [_case(case, span) for case in judgement.cases],
        "notInHistory": list(judgement.unseen),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.name,
        "weeks": _number(verdict.weeks),
        "events": verdict.events,
        "forecastsCompared": verdict.origins,
        "abstained": _number(verdict.abstained),
        "abstentions": dict(verdict.silences),
        "recommendedThreshold": verdict.recommended,
        "conclusion": conclusion(verdict),
        "leadTimeSeconds": verdict.lead_time,
        "asConfigured": _point(verdict.as_configured, verdict.events),
        "calibrationError": _number(verdict.calibration_error),
        "calibration": [
            {"said": _number(each.said), "came": _number(each.came), "count": each.count}
            for each in verdict.calibration
        ],
        "coverage": _number(verdict.coverage),
        "worstDay": _number(verdict.worst_day),
        "forecasters": [_forecaster(each, verdict.events) for each in (verdict.forestall, *verdict.others)],
    }


def _forecaster(one: Forecaster, events: int) -> dict[str, Any]:
    return {
        "name": one.name,
        "brier": _number(one.brier),
        "skill": _number(one.skill),
        "atMostFalseActionsAWeek": {
            f"{most:g}": _point(point, events) for most, point in zip(BUDGETS, one.within, strict=True)
        },
        "thresholds": [_point(point, events) for point in one.curve],
    }


def _point(point: Point | None, events: int) -> dict[str, Any] | None:
    if point is None:
        return None
    low, high = bounds(point, events)
    return {
        "threshold": _number(point.threshold),
        "recall": _number(point.recall),
        "recallBounds": {"lower": _number(low), "upper": _number(high), "confidence": CONFIDENCE},
        "falseActionsAWeek": _number(point.false_a_week),
        "leadSecondsMedian": _number(point.lead.median),
        "leadSecondsP10": _number(point.lead.p10),
        "usefulRecall": _number(point.lead.useful),
    }


def _case(case: Case, span: Span) -> dict[str, Any]:
    times = span.times
    return {
        **_verdict(case.verdict),
        "indicators": sorted({track.indicator for track in case.record.tracks.values()}),
        "series": len(case.record.tracks),
        "eventTimes": [stamp(float(times[onset])) for onset in case.onsets],
        "wouldHaveDone": [
            {
                "at": stamp(float(times[done.would.step])),
                "policy": done.would.policy,
                "action": done.would.action,
                "because": done.would.message,
                "outcome": _OUTCOMES[done.verdict],
                "leadSeconds": _number(done.lead),
            }
            for done in case.done
        ],
        "held": dict(sorted(case.record.holds.items())),
    }


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
