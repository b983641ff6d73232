"""Compare two runs of a scenario: without and with the operator."""

from dataclasses import dataclass
from typing import Any

from forestall.demo.figures import RunFigures
from forestall.demo.scenario_run import ScenarioRun
from forestall.demo.scenarios import OBJECTIVE, THRESHOLD_S, Scenario


@dataclass(frozen=True, slots=True)
class ScenarioComparison:
    """The results of a scenario without the operator and with it."""

    scenario: Scenario
    without: ScenarioRun
    with_: ScenarioRun

    @property
    def lead_time(self) -> float | None:
        """Seconds from the operator's first action to the time at which the SLO is missed without it.

        None where the operator does not act, or the SLO is not missed.
        """
        action, broke = self.with_.record.first_action, self.without.figures.first_bad
        return None if action is None or broke is None else broke - action

    @property
    def problem(self) -> str:
        """Why the comparison is invalid; empty when it is valid."""
        named = (("without", self.without), ("with", self.with_))
        return "; ".join(f"{name} the operator: {run.figures.problem}" for name, run in named if run.figures.problem)

    @property
    def prevented(self) -> bool:
        """Whether the SLO is missed without the operator, and not with it."""
        return self.without.figures.bad_minutes > 0 and self.with_.figures.bad_minutes == 0

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """The rows of the table: name, without, with."""
        before, after = self.without.figures, self.with_.figures
        clock = "of the recorded day"
        rows = [
            (f"bad minutes {clock}", _minutes(before), _minutes(after)),
            ("good requests", f"{before.good:.2%}", f"{after.good:.2%}"),
            (f"replica-minutes {clock}", f"{before.replica_hours * 60:.0f}", f"{after.replica_hours * 60:.0f}"),
            ("most pods at once", str(before.most_replicas), str(after.most_replicas)),
            ("actions", "-", str(self.actions)),
        ]
        if self.scenario.real:
            rows.append(("pods killed or evicted", str(_losses(self.without)), str(_losses(self.with_))))
        if self.lead_time is not None:
            minutes = self.lead_time * self.scenario.minutes_per_second
            rows.append(("lead time of the first action", "-", f"{self.lead_time:.0f} s ({minutes:.0f} min {clock})"))
        return rows

    @property
    def actions(self) -> int:
        """Number of changes by the operator."""
        return sum(event.kind == "act" for event in self.with_.record.events)

    @property
    def footnote(self) -> str:
        """Explanation of the figures."""
        scenario = self.scenario
        return (
            f"One second is {scenario.minutes_per_second:.1f} minutes of the recorded day. A minute is bad when less "
            f"than {OBJECTIVE:g} % of its requests are answered within {THRESHOLD_S:g} s and without an error. All "
            "figures come from Prometheus, in the same way for both runs."
        )

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON data."""
        scenario = self.scenario
        return {
            "scenario": scenario.name,
            "valid": not self.problem,
            "problem": self.problem,
            "prevented": self.prevented,
            "objective": OBJECTIVE,
            "minutesPerSecond": scenario.minutes_per_second,
            "seconds": scenario.duration,
            "leadTimeSeconds": self.lead_time,
            "actions": self.actions,
            "without": self.without.figures.as_json(),
            "with": self.with_.figures.as_json(),
            **({"losses": {"without": _losses(self.without), "with": _losses(self.with_)}} if scenario.real else {}),
        }


def _losses(run: ScenarioRun) -> int:
    return sum(event.kind == "loss" for event in run.record.events)


def _minutes(outcome: RunFigures) -> str:
    return f"{outcome.bad_minutes:.0f} of {outcome.minutes:.0f}"
