"""The advisor reports configuration that works but is probably not meant, with the messages of `forestall validate`."""

import pytest
from structlog.testing import capture_logs

from forestall.api import RemediationPolicy, ServiceLevelObjective, advice
from forestall.core.series import SeriesMatrix
from forestall.engine.advisor import Advisor
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.readings import Reading
from forestall.isolation import ErrorIsolation
from forestall.ports import Query
from forestall.registry import Registry

STEP = 30.0


def objective(name="shop", namespace="a", labels=None, **leading):
    load = {"name": "load", "query": "max(busy)", "limit": 0.8, **leading}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "labels": labels or {}},
        "spec": {
            "target": {"name": name},
            "indicator": {"raw": {"errorRatio": "x"}},
            "objective": 99.5,
            "leadingIndicators": [load],
        },
    }


def policy(name="early", capacity=None, **spec):
    rung = {"scale": {"maxReplicas": 40, "capacity": capacity or {}}}
    return {"metadata": {"name": name, "namespace": "a", "uid": name}, "spec": {"actions": [rung], **spec}}


def advise(values, *, limit, minutes):
    """Return the advice about an objective whose indicator cycled through these values for so long."""
    matrix = SeriesMatrix(STEP, 2880)
    slo = ServiceLevelObjective.read(objective(limit=limit))
    watched = IndicatorQuery(slo.uid, "load", Query("load", "max(busy)"), limit, True, 600.0, None, False)
    for column in range(minutes * 2):
        matrix.push(column * STEP, {watched.key(()): values[column % len(values)]})
    reading = Reading(watched, {(): values[0]}, fresh=True)
    return Advisor(matrix, ErrorIsolation()).about_objective(slo, [reading], minutes * 60.0)


def test_limit_out_of_proportion_is_reported_once_enough_history_is_known():
    """Kind: a limit that the values can never reach, and nobody is told."""
    (words,) = advise([0.3, 0.5], limit=90, minutes=90)
    assert words.startswith("load: the values seen are 0.3 to 0.5, far from the limit of 90")
    assert words.endswith("Write 0.9")
    assert advise([0.3, 0.5], limit=90, minutes=30) == ()
    assert advise([0.3, 0.5], limit=0.8, minutes=90) == ()


def ready(*bodies, of):
    registry = Registry()
    for body in bodies:
        kind = RemediationPolicy.KIND if "actions" in body["spec"] else ServiceLevelObjective.KIND
        registry.put(kind, body)
    one = registry.get(RemediationPolicy, of, "a")
    assert one is not None
    selected = [
        slo for slo in registry.all(ServiceLevelObjective, "a") if one.spec.objectives.matches(slo.metadata.labels)
    ]
    found = Advisor(SeriesMatrix(STEP, 2), ErrorIsolation()).ready(one, selected, registry)
    return found.status, found.reason, found.message


TOTAL = objective(query="sum(rate(requests_total[1m]))")


@pytest.mark.parametrize(
    ("bodies", "status", "said"),
    [
        ([objective(), policy()], "True", "1 objective is selected"),
        ([TOTAL, policy()], "True", "Warning: spec.actions[0].scale.capacity: load of shop is a total"),
        ([objective(), policy(capacity={"indicator": "laod"})], "True", "has no leading indicator laod; there is load"),
        ([objective(), policy(), policy("late")], "True", "the first by name does, here early"),
        (
            [objective(namespace="b", labels={"team": "x"}), policy(objectives={"matchLabels": {"team": "x"}})],
            "False",
            "there are such in b, but a policy acts in its own namespace only",
        ),
    ],
)
def test_condition_ready_of_a_policy(bodies, status, said):
    """Kind: a mistake that shows only once an objective is at risk."""
    found = ready(*bodies, of="early")
    assert found[0] == status
    assert said in found[2]


def test_guessing_the_intended_name_is_bounded(monkeypatch):
    """Kind: cost that users control. 20 policies and 20 objectives kept the lease from being renewed for 9 s."""
    looked: list[str] = []

    def did_you_mean(word, known):
        looked.append(word)
        return ""

    monkeypatch.setattr(advice, "did_you_mean", did_you_mean)
    rungs = [{"indicators": [f"i{n}" for n in range(16)], "notify": {"channel": "a"}}] * 8
    worst = RemediationPolicy.read({**policy(), "spec": {"actions": rungs}})
    objectives = [ServiceLevelObjective.read(objective(f"o{n}")) for n in range(200)]
    advisor = Advisor(SeriesMatrix(STEP, 2880), ErrorIsolation())
    words = advisor.about_policy(worst, objectives)
    assert len(words) >= 16
    assert len(looked) <= 8 * 16
    assert advisor.about_policy(worst, objectives) == words
    assert len(looked) <= 8 * 16


class Looked:
    """An advisor and what it has in memory: an indicator that went round some values for so many columns."""

    def __init__(self, columns, *, limit=90, generation=1, rows=1, indicator="load", values=(0.3, 0.5)):
        self.matrix, self.isolation = SeriesMatrix(STEP, 2880), ErrorIsolation()
        self.advisor = Advisor(self.matrix, self.isolation)
        self.watched = IndicatorQuery("a/shop", indicator, Query("load", "x"), limit, True, 600.0, "pod", False)
        self.labels = [(("pod", str(number)),) for number in range(rows)]
        for column in range(columns):
            value = values[column % len(values)]
            self.matrix.push(column * STEP, {self.watched.key(labels): value for labels in self.labels})
        self.change(generation)

    def change(self, generation, **leading):
        body = objective(**leading)
        body["metadata"]["generation"] = generation
        self.slo = ServiceLevelObjective.read(body)

    def about(self, now=0.0):
        reading = Reading(self.watched, dict.fromkeys([*self.labels, (("pod", "new"),)], 0.3), fresh=True)
        return self.advisor.about_objective(self.slo, [reading], now)


@pytest.mark.parametrize(("columns", "rows", "told"), [(120, 1, 1), (119, 1, 0), (120, 2, 1), (119, 2, 0), (0, 1, 0)])
def test_an_hour_of_each_series_must_be_known_to_doubt_a_limit(columns, rows, told):
    case = Looked(columns, rows=rows)
    assert len(case.about()) == told
    assert case.isolation.faults == {}


def test_a_series_that_never_had_a_value_says_nothing():
    case = Looked(0)
    case.matrix.row(case.watched.key(case.labels[0]))
    assert (case.about(), case.isolation.faults) == ((), {})


def test_the_error_ratio_has_no_limit_that_its_author_could_mistake():
    assert Looked(200, indicator="sli").about() == ()


def test_values_are_looked_at_every_half_hour_and_when_the_objective_changes():
    case = Looked(200)
    assert len(case.about(5000.0)) == 1
    case.matrix.retain(())
    assert len(case.about(5000.0)) == 1
    assert len(case.about(6799.5)) == 1
    assert case.about(6800.0) == ()
    case = Looked(200)
    case.about(5000.0)
    case.matrix.retain(())
    assert case.about(4999.0) == (), "a clock that was set back"
    case = Looked(200)
    case.about(5000.0)
    case.matrix.retain(())
    case.change(2)
    assert case.about(5000.0) == ()
    case = Looked(200)
    case.about(5000.0)
    case.matrix.retain(())
    case.advisor.retain(frozenset({"a/shop"}))
    assert len(case.about(5000.0)) == 1
    case.advisor.retain(frozenset())
    assert case.about(5000.0) == ()


def test_a_text_is_read_once_for_each_generation(monkeypatch):
    case = Looked(0)
    case.change(1, horizon="45s")
    (told,) = case.about()
    assert told.startswith(
        "spec.leadingIndicators[0].horizon: 45s is shorter than 2 of the operator's intervals of 30s"
    )
    case.change(1)
    assert case.about() == (told,)
    case.advisor.retain(frozenset({"a/shop"}))
    assert case.about() == (told,)
    case.change(2)
    assert case.about() == ()
    case.change(2, horizon="45s")
    assert case.about() == ()
    case.advisor.retain(frozenset())
    assert case.about() == (told,)


def test_an_objective_that_is_not_read_gets_no_advice_and_an_error_ends_with_it(monkeypatch):
    case = Looked(200)
    assert case.advisor.about_objective(case.slo, [], 0.0) == ()
    monkeypatch.setattr(case.matrix, "window", None)
    with capture_logs():
        assert case.about() == ()
    assert case.isolation.faults == {"advising": 1}


def test_advice_about_a_policy_is_found_once_for_each_generation_of_all_that_it_is_about():
    advisor = Advisor(SeriesMatrix(STEP, 2), ErrorIsolation())

    def about(generation=1, *, capacity=None, objectives=1, of=1):
        body = policy(capacity=capacity)
        body["metadata"]["generation"] = generation
        bodies = [objective(f"o{number}") for number in range(objectives)]
        for each in bodies:
            each["metadata"]["generation"] = of
        return advisor.about_policy(RemediationPolicy.read(body), list(map(ServiceLevelObjective.read, bodies)))

    wrong = {"indicator": "laod"}
    (told,) = about(capacity=wrong)
    assert about() == (told,)
    assert about(2) == ()
    assert about(2, capacity=wrong) == ()
    assert len(about(2, capacity=wrong, objectives=2)) == 2
    assert about(2, objectives=2, of=2) == ()
    assert len(about(2, capacity=wrong, objectives=20)) == 16, "no more of them fit into a condition"


def test_advice_about_a_policy_leaves_out_objectives_whose_queries_are_wrong():
    advisor = Advisor(SeriesMatrix(STEP, 2), ErrorIsolation())
    right = objective("right", query="sum(rate(requests_total[1m]))")
    bodies = [objective("wrong", query="sum(load"), right]
    (told,) = advisor.about_policy(RemediationPolicy.read(policy()), list(map(ServiceLevelObjective.read, bodies)))
    assert "load of right is a total" in told


@pytest.mark.parametrize(("namespaces", "told"), [("", None), ("b", "b"), ("dcb", "b, c, d"), ("edcb", "b, c, d, …")])
def test_few_namespaces_are_named_in_which_a_policy_means_others(namespaces, told):
    bodies = [objective(namespace=name, labels={"team": "x"}) for name in namespaces]
    selecting = policy(objectives={"matchLabels": {"team": "x"}})
    message = "no objective in this namespace has the labels of spec.objectives"
    hint = "" if told is None else f"; there are such in {told}, but a policy acts in its own namespace only"
    assert ready(*bodies, selecting, of="early") == ("False", "NoObjectivesSelected", message + hint)


def test_policy_selects_objectives_of_its_own_namespace_only():
    message = "no objective in this namespace has the labels of spec.objectives"
    assert ready(objective(namespace="b"), policy(), of="early") == ("False", "NoObjectivesSelected", message)
    expressions = {"matchExpressions": [{"key": "team", "operator": "Exists"}]}
    told = ready(objective(namespace="b", labels={"team": "x"}), policy(objectives=expressions), of="early")
    assert "there are such in b" in told[2]


@pytest.mark.parametrize(("count", "message"), [(1, "1 objective is selected"), (2, "2 objectives are selected")])
def test_a_policy_says_how_many_objectives_it_selects(count, message):
    bodies = [objective(f"o{number}") for number in range(count)]
    assert ready(*bodies, policy(), of="early") == ("True", "ObjectivesSelected", message)
