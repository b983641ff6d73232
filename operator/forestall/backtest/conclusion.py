"""What a backtest comes to, in sentences, and how sure that is; the same words in HTML, text and JSON."""

import math
from typing import Final

from forestall.backtest.verdict import Point, Verdict
from forestall.core.binomial import CONFIDENCE, share_bounds
from forestall.report.figures import percent

ENOUGH: Final = 5
"""Events from which on a share of them says something."""


def caught(point: Point, events: int) -> int:
    """Return how many of the events were foreseen; 0 without events."""
    return 0 if math.isnan(point.recall) else round(point.recall * events)


def bounds(point: Point, events: int) -> tuple[float, float]:
    """Return between what and what the true recall lies, with `CONFIDENCE`; NaN without events."""
    return share_bounds(caught(point, events), events)


def counted(point: Point | None, events: int) -> str:
    """Return how many events were foreseen and how sure the share is: `4 of 6, 22 % to 96 %`; a dash without events."""
    if point is None or not events:
        return f"- of {events}"
    low, high = bounds(point, events)
    return f"{caught(point, events)} of {events}, {percent(low)} to {percent(high)}"


def conclusion(verdict: Verdict) -> str:
    """Return what threshold is recommended, if any, from how many events, and between what bounds its recall lies."""
    best = verdict.forestall.within[0]
    if verdict.events == 0:
        return (
            "No limit was passed in this time, so nothing can be said about recall; false actions can still be counted."
        )
    if verdict.recommended is None or best is None:
        return (
            "At no threshold was an event foreseen with no more than one false action a week for each objective: on "
            "this history forestall should not act on its own. Leave the policies in mode Observe, or look for a "
            f"better leading indicator.{_few(verdict.events)}"
        )
    low, high = bounds(best, verdict.events)
    return (
        f"Recommended threshold: when.probability {verdict.recommended:g}, with which {percent(best.recall)} of the "
        f"events ({caught(best, verdict.events)} of {verdict.events}) would have been foreseen. With "
        f"{percent(CONFIDENCE)} confidence the true share lies between {percent(low)} and {percent(high)}. It is "
        f"chosen on this very history, so expect somewhat less of the next weeks.{_few(verdict.events)}"
    )


def _few(events: int) -> str:
    if events >= ENOUGH:
        return ""
    number = "a single event" if events == 1 else f"only {events} events"
    return (
        f" All this rests on {number}, which is too little to choose a threshold by: replay a longer history, or leave "
        f"the policies in Observe until there were at least {ENOUGH}."
    )
