"""What the sources answered about each indicator, or why it can't be used; pure."""

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
    """What one indicator says now: its series, or why there is none that can be used."""

    watched: IndicatorQuery
    values: Mapping[Labels, float] = field(default_factory=dict)
    """The finite values by series."""
    sampled_at: float = -math.inf
    """When the newest raw sample behind it was taken."""
    fresh: bool = False
    problem: QueryFailure | None = None
    """Why it can't be used, or what of it could not."""
    members: tuple[tuple[str, int], ...] = ()
    """How many targets feed each of its selectors."""


@dataclass(frozen=True, slots=True)
class ErrorRatios:
    """The error ratios over the long and the whole window; NaN where not known, and why."""

    long: float = math.nan
    window: float = math.nan
    long_problem: QueryFailure | None = None
    whole_problem: QueryFailure | None = None
    long_window: float = math.nan
    """How long (s) the long window is."""


def blind(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings that tell nothing at all of their indicator. An SLI without events tells that none failed."""
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


def distrusted(
    readings: Mapping[str, tuple[Reading, ...]],
    ratios: Mapping[str, ErrorRatios],
    queries_by_uid: Mapping[str, ObjectiveQueries],
    clocks: ClockSkew,
) -> tuple[dict[str, tuple[Reading, ...]], dict[str, ErrorRatios]]:
    """Return readings and ratios without those whose age can't be told, because clocks are apart."""
    readings, ratios = dict(readings), dict(ratios)
    for uid, questions in queries_by_uid.items():
        why = clocks.reason_for(questions.source)
        if why is not None:
            problem = QueryFailure("ClockSkew", why)
            readings[uid] = tuple(Reading(reading.watched, problem=problem) for reading in readings.get(uid, ()))
            ratios[uid] = ErrorRatios(long_problem=problem, whole_problem=problem)
    return readings, ratios


def read(watched: IndicatorQuery, answer: Answer | QueryFailure, oldest: float, latest: float = math.inf) -> Reading:
    """Return the reading of one indicator; data from before `oldest` (s) is too old, from after `latest` is not yet."""
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
