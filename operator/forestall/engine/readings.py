"""Turns the sources' answers into a reading of each indicator, or the reason why there is none; pure.

Missing and stale data is no reading: no action follows from it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forestall.core.clock_skew import ClockSkew
from forestall.core.risk import SLI
from forestall.engine.indicator_queries import IndicatorQuery, ObjectiveQueries
from forestall.engine.unusable_answers import query_text, unusable_part
from forestall.ports import Answer, Labels, QueryFailure


@dataclass(frozen=True, slots=True)
class Reading:
    """The present values of one indicator, or why there are none that can be used."""

    watched: IndicatorQuery
    values: Mapping[Labels, float] = field(default_factory=dict)
    """The finite values by series."""
    sampled_at: float = -math.inf
    """The time (s) of the newest raw sample behind the values."""
    fresh: bool = False
    problem: QueryFailure | None = None
    """Why there are no values, or why some series were left out."""
    members: tuple[tuple[str, int], ...] = ()
    """The number of scrape targets behind each selector of the query."""
    silent: frozenset[str] = frozenset()
    """Pods or nodes that exist, were at risk when they were last measured, and have no series now."""


@dataclass(frozen=True, slots=True)
class ErrorRatios:
    """The error ratios over the long and the whole window; NaN where they are unknown, with the reason."""

    long: float = math.nan
    window: float = math.nan
    long_problem: QueryFailure | None = None
    whole_problem: QueryFailure | None = None
    long_window: float = math.nan
    """The length (s) of the long window."""


def blind(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings without any information about their indicator. An SLI without events is not among them: none
    failed.
    """
    return [
        reading
        for reading in readings
        if reading.problem is not None
        and not (reading.fresh and reading.values)
        and not (
            reading.watched.indicator == SLI
            and reading.problem.reason == "NoData"
            and math.isfinite(reading.sampled_at)
        )
    ]


def may_hide_risk(readings: Sequence[Reading]) -> bool:
    """Say whether no sign of a risk is no health: some reading tells nothing, or a subject at risk fell silent."""
    return bool(blind(readings)) or any(reading.silent for reading in readings)


def distrusted(
    readings: Mapping[str, tuple[Reading, ...]],
    ratios: Mapping[str, ErrorRatios],
    queries_by_uid: Mapping[str, ObjectiveQueries],
    clocks: ClockSkew,
) -> tuple[dict[str, tuple[Reading, ...]], dict[str, ErrorRatios]]:
    """Return readings and ratios without those whose age is unknown because clocks differ."""
    readings, ratios = dict(readings), dict(ratios)
    for uid, questions in queries_by_uid.items():
        why = clocks.reason_for(questions.source)
        if why is not None:
            problem = QueryFailure("ClockSkew", why)
            readings[uid] = tuple(Reading(reading.watched, problem=problem) for reading in readings.get(uid, ()))
            ratios[uid] = ErrorRatios(long_problem=problem, whole_problem=problem)
    return readings, ratios


def read(watched: IndicatorQuery, answer: Answer | QueryFailure, oldest: float, latest: float = math.inf) -> Reading:
    """Return the reading of one indicator; samples from before `oldest` (s) are stale, and those from after `latest`
    (s) are in the future.
    """
    if isinstance(answer, QueryFailure):
        return Reading(watched, problem=answer)
    if answer.warnings:
        return Reading(watched, problem=QueryFailure("PartialAnswer", "; ".join(answer.warnings)))
    if answer.newest is None:
        message = answer.missing or "the query's series do not exist in the source"
        return Reading(watched, problem=QueryFailure("NoData", f"{message}; sent was {query_text(watched)}"))
    if answer.newest > latest:
        message = "the newest sample is from the future: the clock of what wrote it, or of the source, is ahead"
        return Reading(watched, problem=QueryFailure("ClockSkew", message))
    if not answer.newest >= oldest:
        return Reading(
            watched,
            sampled_at=answer.newest,
            problem=QueryFailure("StaleData", "the newest sample is older than the source's staleAfter"),
        )
    usable = {
        sample.labels: sample.value
        for sample in answer.samples
        if math.isfinite(sample.value) and (watched.per is None or watched.per in dict(sample.labels))
    }
    if watched.per is None and len(answer.samples) > 1:
        message = (
            f"the query returns {len(answer.samples)} series: aggregate them, for example with max(), "
            f"or name in `per` the label that tells them apart"
        )
        return Reading(watched, sampled_at=answer.newest, problem=QueryFailure("TooManySeries", message))
    problem = unusable_part(watched, answer, len(usable))
    return Reading(watched, usable, answer.newest, bool(usable), problem, answer.target_counts)
