"""Two runs of a scenario side by side: the figures, and in words."""

from dataclasses import dataclass
from typing import Any

from forestall.demo.figures import Outcome
from forestall.demo.play import Run
from forestall.demo.scenarios import OBJECTIVE, THRESHOLD_S, Scenario


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a scenario did to the shop without the operator, and with it."""

    scenario: Scenario
    without: Run
    with_: Run

    @property
    def lead_time(self) -> float | None:
        """Seconds from the operator's first action to the moment at which the SLO broke without it.

        None where it did not act, or nothing broke.
        """
        action, broke = self.with_.record.first_action, self.without.outcome.first_bad
        return None if action is None or broke is None else broke - action

    @property
    def problem(self) -> str:
        """Why the comparison is not valid; empty when it is."""
        named = (("without", self.without), ("with", self.with_))
        return "; ".join(f"{name} the operator: {run.outcome.problem}" for name, run in named if run.outcome.problem)

    @property
    def prevented(self) -> bool:
        """Whether the SLO broke without the operator, and did not with it."""
        return self.without.outcome.bad_minutes > 0 and self.with_.outcome.bad_minutes == 0

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """The figures for people: what, without, with."""
        before, after = self.without.outcome, self.with_.outcome
        clock = "of the recorded day"
        rows = [
            (f"bad minutes {clock}", _minutes(before), _minutes(after)),
            ("good requests", f"{before.good:.2%}", f"{after.good:.2%}"),
            (f"replica-minutes {clock}", f"{before.replica_hours * 60:.0f}", f"{after.replica_hours * 60:.0f}"),
            ("most pods at once", str(before.most_replicas), str(after.most_replicas)),
            ("actions", "-", str(self.actions)),
        ]
        if self.lead_time is not None:
            minutes = self.lead_time * self.scenario.minutes_per_second
            rows.append(("lead time of the first action", "-", f"{self.lead_time:.0f} s ({minutes:.0f} min {clock})"))
        return rows

    @property
    def actions(self) -> int:
        """How many changes the operator made."""
        return sum(news.kind == "act" for news in self.with_.record.news)

    @property
    def footnote(self) -> str:
        """How the figures are meant."""
        one = self.scenario
        return (
            f"One second is {one.minutes_per_second:.1f} minutes of the recorded day. A minute is bad when less than "
            f"{OBJECTIVE:g} % of its requests were answered within {THRESHOLD_S:g} s and without an error. All from "
            f"Prometheus, and in the same way for both runs."
        )

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        one = self.scenario
        return {
            "scenario": one.name,
            "valid": not self.problem,
            "problem": self.problem,
            "prevented": self.prevented,
            "objective": OBJECTIVE,
            "minutesPerSecond": one.minutes_per_second,
            "seconds": one.duration,
            "leadTimeSeconds": self.lead_time,
            "actions": self.actions,
            "without": self.without.outcome.as_json(),
            "with": self.with_.outcome.as_json(),
        }


def _minutes(outcome: Outcome) -> str:
    return f"{outcome.bad_minutes:.0f} of {outcome.minutes:.0f}"
