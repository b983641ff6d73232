"""Episodes: periods in which an objective is at risk. A Remediation is named after its episode, so that none is created
twice.
"""

from collections.abc import Iterable
from typing import Final

from forestall.api import Remediation
from forestall.api.service_level_objective import Episode
from forestall.api.times import seconds, stamp
from forestall.core.risk import ObjectiveState
from forestall.engine.objective_status import Findings

MOST: Final = 100
"""How many Remediations an episode remembers at the most."""


def with_decided(episode: Episode, remediations: Iterable[Remediation], objective: str) -> Episode:
    """Return the episode with the names of the Remediations that were decided in it for the objective (UID)."""
    names = sorted(
        remediation.name
        for remediation in remediations
        if remediation.spec.intent.objective.uid == objective and remediation.spec.intent.episode == episode.number
    )
    decided = list(dict.fromkeys([*episode.decided, *names]))[-MOST:]
    return episode if decided == episode.decided else episode.model_copy(update={"decided": decided})


def advance(episode: Episode, *, at_risk: bool | None, now: float, calm: float) -> Episode:
    """Return the episode after a cycle in which the objective was at risk, was not, or (None) was unknown.

    An episode ends when the objective has not been at risk for `calm` seconds; an unknown risk changes nothing.
    """
    is_open = bool(episode.since)
    if at_risk is None or (not at_risk and not is_open):
        return episode
    if at_risk:
        if not is_open:
            return Episode(number=episode.number + 1, since=stamp(now))
        return episode.model_copy(update={"calm_since": ""}) if episode.calm_since else episode
    if not episode.calm_since:
        return episode.model_copy(update={"calm_since": stamp(now)})
    since = seconds(episode.calm_since)
    return Episode(number=episode.number) if since is None or now - since >= calm else episode


def at_risk_since(findings: Iterable[Findings]) -> tuple[tuple[str, float], ...]:
    """Return the namespace of each objective at risk, and since when (s), the oldest first.

    Objectives without data are left out. Each decision evaluates the objectives in this order.
    """
    at_risk = [
        (objective.slo.namespace, seconds(objective.episode.since))
        for objective in findings
        if objective.risk.state is not ObjectiveState.UNKNOWN
        and objective.episode.since
        and not objective.episode.calm_since
    ]
    dated = ((namespace, since) for namespace, since in at_risk if since is not None)
    return tuple(sorted(dated, key=lambda entry: entry[1]))
