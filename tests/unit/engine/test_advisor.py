"""What is likely not meant although it works: told by the operator in the words of `forestall validate`."""

import pytest

from forestall.api import RemediationPolicy, ServiceLevelObjective, advice
from forestall.core.series import SeriesMatrix
from forestall.engine.advisor import Advisor
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.readings import Reading
from forestall.isolation import Isolation
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
    """Return the advice about an objective whose indicator went round these values for so long."""
    matrix = SeriesMatrix(STEP, 2880)
    slo = ServiceLevelObjective.read(objective(limit=limit))
    watched = IndicatorQuery(slo.uid, "load", Query("load", "max(busy)"), limit, True, 600.0, None, False)
    for column in range(minutes * 2):
        matrix.push(column * STEP, {watched.key(()): values[column % len(values)]})
    reading = Reading(watched, {(): values[0]}, fresh=True)
    return Advisor(matrix, Isolation()).about_objective(slo, [reading], minutes * 60.0)


def test_a_limit_out_of_proportion_is_told_when_enough_is_known():
    """Kind: a limit that is never passed, and nobody knows that it can't be."""
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
    found = Advisor(SeriesMatrix(STEP, 2), Isolation()).ready(one, selected, registry)
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
def test_the_condition_of_a_policy(bodies, status, said):
    """Kind: what is known only when something is at risk already."""
    found = ready(*bodies, of="early")
    assert found[0] == status
    assert said in found[2]


def test_which_name_was_meant_is_not_looked_for_without_end(monkeypatch):
    """Kind: cost of what others write. 20 policies and 20 objectives kept the lease from being renewed for 9 s."""
    looked: list[str] = []

    def did_you_mean(word, known):
        looked.append(word)
        return ""

    monkeypatch.setattr(advice, "did_you_mean", did_you_mean)
    rungs = [{"indicators": [f"i{n}" for n in range(16)], "notify": {"channel": "a"}}] * 8
    worst = RemediationPolicy.read({**policy(), "spec": {"actions": rungs}})
    objectives = [ServiceLevelObjective.read(objective(f"o{n}")) for n in range(200)]
    advisor = Advisor(SeriesMatrix(STEP, 2880), Isolation())
    words = advisor.about_policy(worst, objectives)
    assert len(words) >= 16
    assert len(looked) <= 8 * 16
    assert advisor.about_policy(worst, objectives) == words
    assert len(looked) <= 8 * 16
