"""The conclusion of a backtest and its confidence, in sentences that HTML, terminal and JSON share."""

import math
from typing import Final

from forestall.backtest.results import Assessment, OperatingPoint
from forestall.core.binomial import CONFIDENCE, share_bounds
from forestall.report.formatting import percent

MIN_EVENTS: Final = 5
"""Fewest events for a meaningful recall."""


def count_foreseen(point: OperatingPoint, events: int) -> int:
    """Return the number of events that were predicted; 0 without events."""
    return 0 if math.isnan(point.recall) else round(point.recall * events)


def recall_bounds(point: OperatingPoint, events: int) -> tuple[float, float]:
    """Return the confidence interval of the recall, at `CONFIDENCE`; NaN without events."""
    return share_bounds(count_foreseen(point, events), events)


def describe_recall(point: OperatingPoint | None, events: int) -> str:
    """Return the predicted events and the confidence interval, as in `4 of 6, 22 % to 96 %`; a dash without events."""
    if point is None or not events:
        return f"- of {events}"
    low, high = recall_bounds(point, events)
    return f"{count_foreseen(point, events)} of {events}, {percent(low)} to {percent(high)}"


def conclusion(assessment: Assessment) -> str:
    """Return the recommended threshold, if any, with its number of events and the bounds of its recall."""
    best = assessment.forestall.within[0]
    if assessment.events == 0:
        return "No limit was passed in this period, so nothing can be said about recall; false actions still count."
    if assessment.recommended is None or best is None:
        return (
            "No threshold predicts an event with at most one false action a week for each objective: on this history "
            "forestall should not act on its own. Leave the policies in mode Observe, or look for a better leading "
            f"indicator.{_sample_warning(assessment.events)}"
        )
    low, high = recall_bounds(best, assessment.events)
    return (
        f"Recommended threshold: when.probability {assessment.recommended:g}, which predicts "
        f"{percent(best.recall)} of the events ({count_foreseen(best, assessment.events)} of {assessment.events}). "
        f"With {percent(CONFIDENCE)} confidence the true share lies between {percent(low)} and {percent(high)}. It is "
        f"chosen on this same history, so expect somewhat less in the coming weeks.{_sample_warning(assessment.events)}"
    )


def _sample_warning(events: int) -> str:
    if events >= MIN_EVENTS:
        return ""
    number = "a single event" if events == 1 else f"only {events} events"
    return (
        f" This rests on {number}, too few to choose a threshold: replay a longer history, or leave the policies in "
        f"mode Observe until there are at least {MIN_EVENTS} events."
    )
