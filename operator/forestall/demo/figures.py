"""What a run is judged by, computed from what Prometheus stored, in the same way for every run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from forestall.core.precision import passes
from forestall.core.slo import error_budget

SLOT_S = 2.0
"""The SLI is judged over slots of so many seconds: with a scrape a second, each has two or three samples."""
MOST_LATE = 0.05
"""A run in which more of the loop's ticks, requests or scrapes was late or is missing says nothing about the shop. Less
is a stall of a few seconds, which is little beside the time for which the shop breaks."""
MOST_MISSED = 0.1
"""A run in which the operator came to fewer of its cycles says nothing about the operator."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Series on a common grid of times: seconds after the run began. Gaps are NaN."""

    times: Sequence[float]
    series: Mapping[str, Sequence[float]]

    def __getitem__(self, name: str) -> Sequence[float]:
        """Return one series."""
        return self.series[name]


@dataclass(frozen=True, slots=True)
class Slot:
    """A short stretch of a run: from `start` for SLOT_S seconds."""

    start: float
    total: float
    """Requests answered."""
    good: float
    """Share of them that was good; NaN where there were none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went. Minutes and hours are on the recorded day's clock; everything else is in real time."""

    bad_minutes: float
    """Minutes in which the SLI was below the objective."""
    minutes: float
    """Minutes that the run played."""
    first_bad: float | None
    """When the SLI first was below the objective, in seconds after the run began."""
    requests: int
    good: float
    """Share of all requests that was good."""
    replica_hours: float
    """Pods, from their creation on, times hours."""
    most_replicas: int
    problem: str = ""
    """Why the run is not valid; empty when it is."""

    def as_json(self) -> dict[str, object]:
        """Return it as JSON has it."""
        words = {_camel(name): value for name, value in asdict(self).items()}
        return {**words, "valid": not self.problem}


def slots(samples: Samples) -> list[Slot]:
    """Cut a run into slots. Needs the series `good` and `total`: counters."""
    step = samples.times[1] - samples.times[0]
    stride = round(SLOT_S / step)
    found = []
    for n in range(0, len(samples.times) - stride, stride):
        total = _increase(samples["total"], n, n + stride)
        good = _increase(samples["good"], n, n + stride)
        found.append(Slot(samples.times[n], total, good / total if total > 0 else math.nan))
    return found


def is_bad(slot: Slot, objective: float) -> bool:
    """Say whether the SLI missed the objective (percent) in the slot. One without an answer missed it too."""
    return math.isnan(slot.good) or passes(1.0 - slot.good, error_budget(objective), above=True)


def outcome(samples: Samples, objective: float, minutes_per_second: float, problem: str = "") -> Outcome:
    """Judge a run. Needs the series `good`, `total` (counters) and `pods`."""
    parts = slots(samples)
    bad = [slot for slot in parts if is_bad(slot, objective)]
    step = samples.times[1] - samples.times[0]
    pods = [value for value in samples["pods"] if math.isfinite(value)]
    requests = sum(slot.total for slot in parts)
    good = sum(slot.total * slot.good for slot in parts if slot.total > 0)
    return Outcome(
        bad_minutes=len(bad) * SLOT_S * minutes_per_second,
        minutes=len(parts) * SLOT_S * minutes_per_second,
        first_bad=bad[0].start if bad else None,
        requests=round(requests),
        good=good / requests if requests else 0.0,
        replica_hours=sum(pods) * step * minutes_per_second / 60,
        most_replicas=round(max(pods, default=0)),
        problem=problem,
    )


def problem_of(lagging: float, late: float, unmeasured: float, missed: float) -> str:
    """Return why a run is not valid; empty when it is.

    `lagging` is the share of the shop's loop ticks that were late, `late` that of the generator's requests that were
    late or not sent, `unmeasured` that of the scrapes that are missing, and `missed` that of the operator's cycles that
    were due and never ran.
    """
    if lagging > MOST_LATE:
        return f"the shop's own event loop was late in {lagging:.1%} of the time: the machine was too busy"
    if late > MOST_LATE:
        return f"the load generator was late with {late:.1%} of its requests: the machine was too busy"
    if unmeasured > MOST_LATE:
        return f"{unmeasured:.1%} of Prometheus' scrapes are missing: the machine was too busy"
    if missed > MOST_MISSED:
        return f"{missed:.1%} of the operator's cycles never ran: the machine was too busy"
    return ""


def missed(cycles: Sequence[float]) -> float:
    """Return which share of the cycles never ran, of one a second; `cycles` counts them each second, NaN at first.

    Of a run without the operator nothing was due.
    """
    counted = [value for value in cycles if math.isfinite(value)]
    due = len(counted) - 1
    return max(0.0, 1 - (counted[-1] - counted[0]) / due) if due > 0 else 0.0


def _increase(counter: Sequence[float], start: int, end: int) -> float:
    first, last = counter[start], counter[end]
    # A counter that does not exist yet stands at zero.
    return (0.0 if math.isnan(last) else last) - (0.0 if math.isnan(first) else first)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
