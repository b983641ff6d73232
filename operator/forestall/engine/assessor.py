"""What was observed and forecast becomes the risk of each objective, and its episode."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from forestall.api.service_level_objective import Episode
from forestall.core.dependencies import culprits
from forestall.core.plan import triggering_signal
from forestall.core.risk import ObjectiveState, Risk, Signal, assess
from forestall.engine import terms
from forestall.engine.advisor import Advisor
from forestall.engine.episodes import advance, with_decided
from forestall.engine.observe import Ratios, Reading, blind
from forestall.engine.report import Findings, Problem, named
from forestall.engine.scene import Scene
from forestall.engine.settings import Settings
from forestall.engine.watch import dependencies
from forestall.isolation import Isolation


class Assessor:
    """Assesses objectives; remembers their episodes from cycle to cycle."""

    def __init__(self, settings: Settings, advisor: Advisor, isolation: Isolation) -> None:
        self._settings = settings
        self._advisor = advisor
        self._isolation = isolation
        self.episodes: dict[str, Episode] = {}
        """By UID of the objective."""

    def thresholds(self, scene: Scene) -> dict[str, float]:
        """Return the breach probability from which each objective is at risk, by UID."""
        result = dict.fromkeys(scene.objectives, self._settings.at_risk_from)
        for uid, slo in scene.objectives.items():
            with self._isolation.around("assessing", named(slo)):
                result[uid] = self.threshold(scene, uid)
        return result

    def threshold(self, scene: Scene, uid: str) -> float:
        """Return the breach probability from which an objective is at risk: the lowest that a policy acts on."""
        probabilities = [policy.spec.when.probability for policy in scene.policies[uid]]
        return min(probabilities, default=self._settings.at_risk_from)

    def assess(
        self,
        scene: Scene,
        problems: Mapping[str, Problem],
        readings: Mapping[str, Sequence[Reading]],
        ratios: Mapping[str, Ratios],
        signals: Mapping[str, Sequence[Signal]],
    ) -> dict[str, Findings]:
        """Return what is known of each objective, by UID; all that it is made of is by UID, too."""
        found: dict[str, Findings] = {}
        for uid, slo in scene.objectives.items():
            bare = Findings(slo, Risk(ObjectiveState.UNKNOWN, math.nan, None), problems.get(uid))
            with self._isolation.around("assessing", named(slo)) as attempt:
                found[uid] = replace(
                    bare,
                    risk=assess(
                        signals.get(uid, ()), self.threshold(scene, uid), blind=bool(blind(readings.get(uid, ())))
                    ),
                    readings=tuple(readings.get(uid, ())),
                    signals=tuple(signals.get(uid, ())),
                    ratios=ratios.get(uid, Ratios()),
                )
            if attempt.failure is not None:
                found[uid] = replace(bare, problem=Problem("InternalError", attempt.failure))
        return found

    def in_episodes(self, scene: Scene, found: Mapping[str, Findings], now: float) -> dict[str, Findings]:
        """Return what was found with the episode of each objective, and what its author should know."""
        result = dict(found)
        for uid, each in found.items():
            with self._isolation.around("assessing", named(each.slo)) as attempt:
                warnings = self._advisor.about_objective(each.slo, each.readings, now)
                result[uid] = replace(each, episode=self._episode(each, scene, now), warnings=warnings)
            if attempt.failure is not None:
                result[uid] = replace(each, problem=Problem("InternalError", attempt.failure))
        return result

    @staticmethod
    def with_culprits(scene: Scene, found: Mapping[str, Findings]) -> dict[str, Findings]:
        """Return what was found with the name of the dependency that each objective suffers from."""
        at_risk = {
            uid for uid, each in found.items() if each.risk.state in (ObjectiveState.AT_RISK, ObjectiveState.BREACHED)
        }
        suffering = culprits(dependencies(scene.objectives), at_risk)
        return {uid: replace(each, victim_of=_name(found, suffering.get(uid))) for uid, each in found.items()}

    def retain(self, present: Collection[str]) -> None:
        """Forget the episodes of other objectives."""
        self.episodes = {uid: episode for uid, episode in self.episodes.items() if uid in present}

    def _episode(self, found: Findings, scene: Scene, now: float) -> Episode:
        uid = found.slo.uid
        before = self.episodes.get(uid) or found.slo.status.episode or Episode()
        before = with_decided(before, scene.about(uid), uid)
        known = found.risk.state is not ObjectiveState.UNKNOWN
        at_risk = found.risk.state in (ObjectiveState.AT_RISK, ObjectiveState.BREACHED) or any(
            triggering_signal(found.signals, terms.trigger_of(policy)) is not None for policy in scene.policies[uid]
        )
        self.episodes[uid] = advance(before, at_risk=at_risk if known else None, now=now, calm=self._settings.calm)
        return self.episodes[uid]


def _name(found: Mapping[str, Findings], uid: str | None) -> str | None:
    return None if uid is None else found[uid].slo.name
