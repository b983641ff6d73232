"""The risk of each objective, its episode, and what goes wrong with one."""

import math

import pytest
from structlog.testing import capture_logs

from forestall.api import ServiceLevelObjective
from forestall.api.service_level_objective import Episode
from forestall.api.times import stamp
from forestall.core.risk import ObjectiveState, Risk
from forestall.core.series import SeriesMatrix
from forestall.engine.advisor import Advisor
from forestall.engine.assessor import Assessor
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.objective_status import Findings, Problem
from forestall.engine.readings import ErrorRatios, Reading
from forestall.engine.settings import Settings
from forestall.engine.snapshot import Snapshot
from forestall.isolation import ErrorIsolation
from forestall.ports import Query, QueryFailure

NOW = 50_000.0
QUERY = IndicatorQuery("o-1", "load", Query("load", "x"), 100.0, True, 600.0, None, False)
READING = Reading(QUERY, {(): 90.0}, NOW, True)
BLIND = Reading(QUERY, problem=QueryFailure("NoData", "x"))


@pytest.fixture
def assessor():
    isolation = ErrorIsolation()
    return Assessor(Settings(interval=30.0), Advisor(SeriesMatrix(30.0, 10), isolation), isolation)


def snapshot(slo, *policies):
    return Snapshot({slo.uid: slo}, {slo.uid: list(policies)}, [], [])


def test_objective_without_a_policy_is_at_risk_from_a_probability_of_80_percent(assessor, slo, make_policy):
    policies = [make_policy(when={"probability": p}) for p in (0.9, 0.6)]
    assert assessor.thresholds(snapshot(slo)) == {"o-1": 0.8}
    assert assessor.thresholds(snapshot(slo, *policies)) == {"o-1": 0.6}


def test_error_while_a_threshold_is_computed_leaves_the_default(assessor, slo):
    with capture_logs():
        assert assessor.thresholds(Snapshot({"o-1": slo}, {}, [], [])) == {"o-1": 0.8}


@pytest.mark.parametrize(
    ("reading", "probability", "state"),
    [
        (READING, 0.85, ObjectiveState.AT_RISK),
        (READING, 0.75, ObjectiveState.HEALTHY),
        (BLIND, 0.75, ObjectiveState.UNKNOWN),
    ],
)
def test_an_objective_is_assessed_by_its_signals(assessor, slo, make_signal, reading, probability, state):
    signals, ratios = [make_signal(probability=probability)], ErrorRatios(0.1, 0.2)
    found = assessor.assess(
        snapshot(slo), {"o-1": Problem("X", "y")}, {"o-1": [reading]}, {"o-1": ratios}, {"o-1": signals}
    )
    findings = found["o-1"]
    assert (findings.risk.state, findings.problem) == (state, Problem("X", "y"))
    assert (findings.readings, findings.signals, findings.ratios) == ((reading,), tuple(signals), ratios)


def test_an_objective_of_which_nothing_is_known_is_unknown(assessor, slo):
    findings = assessor.assess(snapshot(slo), {}, {}, {}, {})["o-1"]
    assert (findings.risk.state, findings.problem, findings.signals, findings.readings) == (
        ObjectiveState.UNKNOWN,
        None,
        (),
        (),
    )
    assert math.isnan(findings.ratios.long)


def test_an_error_is_the_problem_of_its_objective_alone(assessor, slo, make_signal):
    with capture_logs():
        broken = Snapshot({"o-1": slo}, {}, [], [])
        findings = assessor.assess(broken, {}, {"o-1": [READING]}, {}, {"o-1": [make_signal()]})["o-1"]
        assert (findings.risk.state, findings.problem.reason) == (ObjectiveState.UNKNOWN, "InternalError")
        assert math.isnan(findings.risk.probability)
        episodes = assessor.in_episodes(broken, {"o-1": Findings(slo, Risk(ObjectiveState.HEALTHY, 0.1, None))}, NOW)
    assert episodes["o-1"].problem.reason == "InternalError"
    assert "KeyError" in episodes["o-1"].problem.message
    assert episodes["o-1"].risk.state is ObjectiveState.UNKNOWN


def test_an_error_ends_no_episode(assessor, slo):
    with capture_logs():
        at_risk = Findings(slo, Risk(ObjectiveState.AT_RISK, 0.9, None))
        before = assessor.in_episodes(snapshot(slo), {"o-1": at_risk}, NOW)
        broken = Snapshot({"o-1": slo}, {}, [], [])
        after = assessor.in_episodes(broken, {"o-1": Findings(slo, Risk(ObjectiveState.HEALTHY, 0.1, None))}, NOW)
    assert after["o-1"].problem.reason == "InternalError"
    assert after["o-1"].episode == before["o-1"].episode
    assert after["o-1"].episode.number == 1


def advanced(assessor, slo, state, *policies, now=NOW, signals=()):
    findings = Findings(slo, Risk(state, 0.5, None), signals=signals)
    return assessor.in_episodes(snapshot(slo, *policies), {"o-1": findings}, now)["o-1"].episode


@pytest.mark.parametrize(
    ("state", "number"),
    [
        (ObjectiveState.AT_RISK, 1),
        (ObjectiveState.BREACHED, 1),
        (ObjectiveState.HEALTHY, 0),
        (ObjectiveState.UNKNOWN, 0),
    ],
)
def test_an_episode_begins_with_a_risk(assessor, slo, state, number):
    episode = advanced(assessor, slo, state)
    assert (episode.number, episode.since) == (number, stamp(NOW) if number else "")
    assert assessor.episodes == {"o-1": episode}


@pytest.mark.parametrize(("probability", "number"), [(0.9, 1), (0.4, 0)])
def test_an_episode_begins_where_a_policy_would_act(assessor, slo, make_policy, make_signal, probability, number):
    policy, signal = make_policy(when={"probability": 0.5}), make_signal(probability=probability)
    assert advanced(assessor, slo, ObjectiveState.HEALTHY, policy, signals=[signal]).number == number


def test_an_episode_ends_when_the_risk_was_gone_for_ten_intervals_and_not_by_what_is_not_known(assessor, slo):
    advanced(assessor, slo, ObjectiveState.AT_RISK)
    assert advanced(assessor, slo, ObjectiveState.HEALTHY, now=NOW + 30).calm_since == stamp(NOW + 30)
    assert advanced(assessor, slo, ObjectiveState.HEALTHY, now=NOW + 329).since == stamp(NOW)
    assert advanced(assessor, slo, ObjectiveState.UNKNOWN, now=NOW + 1000).since == stamp(NOW)
    assert advanced(assessor, slo, ObjectiveState.HEALTHY, now=NOW + 1330).since == ""


def test_episode_in_memory_precedes_the_one_in_the_status_until_the_objective_is_deleted(assessor, slo):
    body = {**slo.dump(), "status": {"episode": {"number": 7, "since": stamp(NOW - 600)}}}
    written = ServiceLevelObjective.read(body)
    assert advanced(assessor, written, ObjectiveState.AT_RISK).number == 7
    assessor.episodes = {"o-1": Episode(number=9, since=stamp(NOW)), "o-2": Episode(number=1)}
    assert advanced(assessor, written, ObjectiveState.AT_RISK).number == 9
    assessor.retain({"o-1"})
    assert list(assessor.episodes) == ["o-1"]


def test_remediations_of_an_episode_are_recorded_in_it(assessor, slo, make_remediation):
    assessor.episodes = {"o-1": Episode(number=1, since=stamp(NOW))}
    decided = make_remediation("Verifying", episode=1)
    held = Snapshot({"o-1": slo}, {"o-1": []}, [decided], [])
    findings = {"o-1": Findings(slo, Risk(ObjectiveState.AT_RISK, 0.9, None))}
    assert assessor.in_episodes(held, findings, NOW)["o-1"].episode.decided == [decided.name]


def test_advice_is_told_with_the_findings(assessor, slo):
    spec = {**slo.spec.dump(), "leadingIndicators": [{"name": "load", "query": "x", "limit": 100, "horizon": "20s"}]}
    hasty = ServiceLevelObjective.read({**slo.dump(), "spec": spec})
    findings = {"o-1": Findings(hasty, Risk(ObjectiveState.HEALTHY, 0.1, None), readings=(READING,))}
    (warning,) = assessor.in_episodes(snapshot(hasty), findings, NOW)["o-1"].warnings
    assert "20s is shorter than 2 of the operator's intervals" in warning


@pytest.mark.parametrize("state", [ObjectiveState.AT_RISK, ObjectiveState.BREACHED, ObjectiveState.HEALTHY])
def test_findings_of_a_victim_name_the_objective_it_depends_on(assessor, slo, state):
    database = ServiceLevelObjective.read(
        {**slo.dump(), "metadata": {**slo.dump()["metadata"], "name": "database", "uid": "o-2"}}
    )
    spec = {**slo.spec.dump(), "dependsOn": ["database"]}
    checkout = ServiceLevelObjective.read({**slo.dump(), "spec": spec})
    held = Snapshot({"o-1": checkout, "o-2": database}, {}, [], [])
    findings = {
        "o-1": Findings(checkout, Risk(ObjectiveState.AT_RISK, 0.9, None)),
        "o-2": Findings(database, Risk(state, 0.9, None)),
    }
    found = Assessor.with_culprits(held, findings)
    assert found["o-1"].victim_of == (None if state is ObjectiveState.HEALTHY else "database")
    assert found["o-2"].victim_of is None
