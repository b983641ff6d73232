"""Turns observations and forecasts into the risk and the episode of each objective."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from forestall.api.service_level_objective import Episode
from forestall.core.dependencies import culprits
from forestall.core.plan import triggering_signal
from forestall.core.risk import ObjectiveState, Risk, Signal, assess
from forestall.engine import policy_limits
from forestall.engine.advisor import Advisor
from forestall.engine.episodes import advance, with_decided
from forestall.engine.objective_status import Findings, Problem, named
from forestall.engine.query_planner import dependencies
from forestall.engine.readings import ErrorRatios, Reading, may_hide_risk
from forestall.engine.settings import Settings
from forestall.engine.snapshot import Snapshot
from forestall.isolation import ErrorIsolation


class Assessor:
    """Assesses objectives; remembers their episodes from cycle to cycle."""

    def __init__(self, settings: Settings, advisor: Advisor, isolation: ErrorIsolation) -> None:
        self._settings = settings
        self._advisor = advisor
        self._isolation = isolation
        self.episodes: dict[str, Episode] = {}
        """By UID of the objective."""

    def thresholds(self, snapshot: Snapshot) -> dict[str, float]:
        """Return the breach probability from which each objective is at risk, by UID."""
        result = dict.fromkeys(snapshot.objectives, self._settings.at_risk_from)
        for uid, slo in snapshot.objectives.items():
            with self._isolation.attempt("assessing", named(slo)):
                result[uid] = self.threshold(snapshot, uid)
        return result

    def threshold(self, snapshot: Snapshot, uid: str) -> float:
        """Return the breach probability from which an objective is at risk: the lowest that a policy acts on."""
        probabilities = [policy.spec.when.probability for policy in snapshot.policies[uid]]
        return min(probabilities, default=self._settings.at_risk_from)

    def assess(
        self,
        snapshot: Snapshot,
        problems: Mapping[str, Problem],
        readings: Mapping[str, Sequence[Reading]],
        ratios: Mapping[str, ErrorRatios],
        signals: Mapping[str, Sequence[Signal]],
    ) -> dict[str, Findings]:
        """Return the findings for each objective; arguments and result are keyed by the objective's UID."""
        findings_by_uid: dict[str, Findings] = {}
        for uid, slo in snapshot.objectives.items():
            bare = Findings(slo, Risk(ObjectiveState.UNKNOWN, math.nan, None), problems.get(uid))
            with self._isolation.attempt("assessing", named(slo)) as attempt:
                findings_by_uid[uid] = replace(
                    bare,
                    risk=assess(
                        signals.get(uid, ()), self.threshold(snapshot, uid), blind=may_hide_risk(readings.get(uid, ()))
                    ),
                    readings=tuple(readings.get(uid, ())),
                    signals=tuple(signals.get(uid, ())),
                    ratios=ratios.get(uid, ErrorRatios()),
                )
            if attempt.failure is not None:
                findings_by_uid[uid] = bare.without_evidence(attempt.failure)
        return findings_by_uid

    def in_episodes(
        self, snapshot: Snapshot, findings_by_uid: Mapping[str, Findings], now: float
    ) -> dict[str, Findings]:
        """Return the findings completed by each objective's episode and the advice for its author."""
        result = dict(findings_by_uid)
        for uid, findings in findings_by_uid.items():
            with self._isolation.attempt("assessing", named(findings.slo)) as attempt:
                advice = self._advisor.about_objective(findings.slo, findings.readings, now)
                warnings = (*findings.warnings, *advice)
                result[uid] = replace(findings, episode=self._episode(findings, snapshot, now), warnings=warnings)
            if attempt.failure is not None:
                episode = self.episodes.get(uid) or findings.slo.status.episode or Episode()
                result[uid] = replace(findings.without_evidence(attempt.failure), episode=episode)
        return result

    @staticmethod
    def with_culprits(snapshot: Snapshot, findings_by_uid: Mapping[str, Findings]) -> dict[str, Findings]:
        """Return the findings completed by the name of the dependency at risk that causes each objective's risk."""
        at_risk = {
            uid
            for uid, findings in findings_by_uid.items()
            if findings.risk.state in (ObjectiveState.AT_RISK, ObjectiveState.BREACHED)
        }
        suffering = culprits(dependencies(snapshot.objectives), at_risk)
        return {
            uid: replace(findings, victim_of=_name(findings_by_uid, suffering.get(uid)))
            for uid, findings in findings_by_uid.items()
        }

    def retain(self, present: Collection[str]) -> None:
        """Forget the episodes of all objectives but these."""
        self.episodes = {uid: episode for uid, episode in self.episodes.items() if uid in present}

    def _episode(self, findings: Findings, snapshot: Snapshot, now: float) -> Episode:
        uid = findings.slo.uid
        before = self.episodes.get(uid) or findings.slo.status.episode or Episode()
        before = with_decided(before, snapshot.remediations_of(uid), uid)
        is_known = findings.risk.state is not ObjectiveState.UNKNOWN
        at_risk = findings.risk.state in (ObjectiveState.AT_RISK, ObjectiveState.BREACHED) or any(
            triggering_signal(findings.signals, policy_limits.trigger_of(policy)) is not None
            for policy in snapshot.policies[uid]
        )
        self.episodes[uid] = advance(before, at_risk=at_risk if is_known else None, now=now, calm=self._settings.calm)
        return self.episodes[uid]


def _name(findings_by_uid: Mapping[str, Findings], uid: str | None) -> str | None:
    return None if uid is None else findings_by_uid[uid].slo.name
