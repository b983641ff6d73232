"""The figures of a run, computed from the data in Prometheus, in the same way for every run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from forestall.core.precision import passes
from forestall.core.slo import error_budget

SLOT_S = 2.0
"""Length of a slot, over which the SLI is computed: with a scrape a second, it has two or three samples."""
MAX_LATE = 0.05
"""Highest share of late or missing loop ticks, requests or scrapes of a valid run. Below it is a stall of a few
seconds, which is short compared with an outage of the shop."""
MAX_MISSED = 0.1
"""Highest share of missed operator cycles of a valid run."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Series on a common grid of times (s after the start of the run). Gaps are NaN."""

    times: Sequence[float]
    series: Mapping[str, Sequence[float]]

    def __getitem__(self, name: str) -> Sequence[float]:
        """Return one series."""
        return self.series[name]


@dataclass(frozen=True, slots=True)
class TimeSlot:
    """A part of a run, `SLOT_S` seconds long from `start` on."""

    start: float
    total: float
    """Requests answered."""
    good: float
    """Share of good requests; NaN without requests."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """The figures of a run. Minutes and hours are on the recorded day's clock; everything else is in real time."""

    bad_minutes: float
    """Minutes with the SLI below the objective."""
    minutes: float
    """Length of the run."""
    first_bad: float | None
    """When the SLI is first below the objective (s after the start of the run)."""
    requests: int
    good: float
    """Share of good requests."""
    replica_hours: float
    """Pods times hours, from the creation of each pod on."""
    most_replicas: int
    problem: str = ""
    """Why the run is invalid; empty when it is valid."""

    def as_json(self) -> dict[str, object]:
        """Return the figures as JSON data."""
        fields = {_camel(name): value for name, value in asdict(self).items()}
        return {**fields, "valid": not self.problem}


def slots(samples: Samples) -> list[TimeSlot]:
    """Cut a run into slots. Needs the series `good` and `total`: counters."""
    step = samples.times[1] - samples.times[0]
    stride = round(SLOT_S / step)
    result = []
    for n in range(0, len(samples.times) - stride, stride):
        total = _increase(samples["total"], n, n + stride)
        good = _increase(samples["good"], n, n + stride)
        result.append(TimeSlot(samples.times[n], total, good / total if total > 0 else math.nan))
    return result


def is_bad(slot: TimeSlot, objective: float) -> bool:
    """Return whether the SLI is below the objective (percent) in the slot. A slot without an answer is bad too."""
    return math.isnan(slot.good) or passes(1.0 - slot.good, error_budget(objective), above=True)


def run_figures(samples: Samples, objective: float, minutes_per_second: float, problem: str = "") -> RunFigures:
    """Compute the figures of a run. Needs the series `good`, `total` (counters) and `pods`."""
    parts = slots(samples)
    bad = [slot for slot in parts if is_bad(slot, objective)]
    step = samples.times[1] - samples.times[0]
    pods = [value for value in samples["pods"] if math.isfinite(value)]
    requests = sum(slot.total for slot in parts)
    good = sum(slot.total * slot.good for slot in parts if slot.total > 0)
    return RunFigures(
        bad_minutes=len(bad) * SLOT_S * minutes_per_second,
        minutes=len(parts) * SLOT_S * minutes_per_second,
        first_bad=bad[0].start if bad else None,
        requests=round(requests),
        good=good / requests if requests else 0.0,
        replica_hours=sum(pods) * step * minutes_per_second / 60,
        most_replicas=round(max(pods, default=0)),
        problem=problem,
    )


def validity_problem(lagging: float, late: float, unmeasured: float, missed: float) -> str:
    """Return why a run is invalid; empty when it is valid.

    `lagging` is the share of late ticks of the shop's event loop, `late` that of late or unsent requests of the load
    generator, `unmeasured` that of missing scrapes, and `missed` that of missed operator cycles.
    """
    if lagging > MAX_LATE:
        return f"the shop's own event loop was late in {lagging:.1%} of the time: the machine was too busy"
    if late > MAX_LATE:
        return f"the load generator was late with {late:.1%} of its requests: the machine was too busy"
    if unmeasured > MAX_LATE:
        return f"{unmeasured:.1%} of Prometheus' scrapes are missing: the machine was too busy"
    if missed > MAX_MISSED:
        return f"{missed:.1%} of the operator's cycles never ran: the machine was too busy"
    return ""


def missed_cycles(cycles: Sequence[float]) -> float:
    """Return the share of missed cycles, of one a second; `cycles` is their counter each second, NaN at first.

    A run without the operator has no missed cycles.
    """
    counted = [value for value in cycles if math.isfinite(value)]
    due = len(counted) - 1
    return max(0.0, 1 - (counted[-1] - counted[0]) / due) if due > 0 else 0.0


def _increase(counter: Sequence[float], start: int, end: int) -> float:
    return _last(counter, end) - _last(counter, start)


def _last(counter: Sequence[float], index: int) -> float:
    """Return the counter where it was last scraped; one that does not exist yet is zero."""
    return next((value for value in reversed(counter[: index + 1]) if not math.isnan(value)), 0.0)


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)
