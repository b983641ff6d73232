"""What an objective or a policy says that is likely not meant, from its own text."""

import pytest

from forestall.api import MetricSource, RemediationPolicy, ServiceLevelObjective
from forestall.api.advice import about_objective, about_policy, rivals
from forestall.api.query_texts import query_errors
from forestall.engine.indicator_queries import plan_queries
from forestall.errors import InvalidQuery


def objective(name="shop", namespace="a", labels=None, indicator=None, **leading):
    load = {"name": "load", "query": "max(busy)", "limit": 0.8, **leading}
    return ServiceLevelObjective.read(
        {
            "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
            "spec": {
                "target": {"name": name},
                "indicator": indicator or {"ratio": {"bad": "errors_total", "total": "requests_total"}},
                "objective": 99.5,
                "leadingIndicators": [load],
            },
        }
    )


def policy(name="early", capacity=None, **rung):
    spec = {"actions": [{"scale": {"maxReplicas": 40, "capacity": capacity or {}}, **rung}]}
    return RemediationPolicy.read({"metadata": {"name": name, "namespace": "a"}, "spec": spec})


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"query": "max(busy"}, "spec.leadingIndicators[0].query"),
        ({"query": "busy[5m]"}, "spec.leadingIndicators[0].query"),
        ({"indicator": {"threshold": {"query": "a b", "operator": "lt", "value": 1}}}, "spec.indicator.threshold"),
        ({"indicator": {"raw": {"errorRatio": "sum(rate(a[$windo]))"}}}, "spec.indicator.raw.errorRatio"),
        ({"indicator": {"ratio": {"bad": "a{", "total": "b"}}}, "spec.indicator.ratio.bad"),
        ({"indicator": {"ratio": {"good": "a", "bad": None, "total": "b{"}}}, "spec.indicator.ratio.total"),
        ({"indicator": {"latency": {"histogram": "sum(a)", "type": "Native"}}}, "spec.indicator.latency.histogram"),
        ({"indicator": {"latency": {"histogram": '{a="b"}', "type": "Classic"}}}, "spec.indicator.latency.histogram"),
    ],
)
def test_promql_that_does_not_parse(changes, path):
    """The kind: `validate` and the operator each walk the same texts, and differ in what they refuse or say."""
    slo = objective(**changes) if "query" in changes else unchecked(changes)
    (error, *_) = query_errors(slo)
    assert error.level == "error"
    assert error.location.startswith(path)
    source = MetricSource.read({"metadata": {"name": "default", "uid": "m"}, "spec": {"url": "http://x"}})
    with pytest.raises(InvalidQuery) as caught:
        plan_queries(slo, source, 30.0)
    assert str(caught.value) == str(error)


def unchecked(changes):
    """Return an objective whose texts the model has not looked at."""
    slo = objective()
    made = ServiceLevelObjective.model_construct
    indicator = changes["indicator"]
    kind, fields = next(iter(indicator.items()))
    of = type(slo.spec.indicator).model_fields[kind].annotation.__args__[0]
    names = {"errorRatio": "error_ratio"}
    inner = of.model_construct(**{names.get(key, key): value for key, value in fields.items()})
    spec = slo.spec.model_copy(update={"indicator": slo.spec.indicator.model_copy(update={"ratio": None, kind: inner})})
    return made(metadata=slo.metadata, spec=spec)


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({"horizon": "30s"}, "warning", "30s is shorter than 2 of the operator's intervals of 30s"),
        (
            {"query": "max by (node) (busy)", "per": "pod"},
            "error",
            "only the label node, not pod: write per: node",
        ),
        ({"query": "max(busy)", "per": "pod"}, "error", "the query keeps no label, not pod: keep it by `by (pod)`"),
        ({"query": "max by (pod) (busy)"}, "warning", "a series for each pod: name it in `per`, or aggregate"),
    ],
)
def test_objectives(changes, level, said):
    (found,) = about_objective(objective(**changes), 30.0)
    assert found.level == level
    assert said in found.message


def test_what_is_meant_is_no_finding():
    assert about_objective(objective(query="max by (pod) (busy)", per="pod"), 30.0) == []
    assert about_objective(objective(query="busy", per="pod"), 30.0) == []


TOTAL = "sum(rate(requests_total[1m]))"


@pytest.mark.parametrize(
    ("slo", "one", "level", "said"),
    [
        (objective(query=TOTAL), policy(), "warning", "load of shop is a total, sum(rate(requests_total[1m]))"),
        (objective(query=TOTAL), policy(capacity={"indicator": "load"}), "warning", "perReplica: …}"),
        (objective(), policy(capacity={"indicator": "laod"}), "error", "there is load. Did you mean load?"),
        (objective(), policy(indicators=["lode"]), "warning", "there are load, sli. Did you mean load?"),
    ],
)
def test_policies(slo, one, level, said):
    (found,) = about_policy(one, [slo])
    assert found.level == level
    assert said in found.message


@pytest.mark.parametrize(
    ("slo", "one"),
    [
        (objective(query=TOTAL), policy(capacity={"type": "Declared", "perReplica": 25})),
        (objective(query=TOTAL), policy(indicators=["sli"])),
        (objective(), policy()),
    ],
)
def test_what_suits_is_no_finding(slo, one):
    assert about_policy(one, [slo], start_up=60.0) == []


def test_a_horizon_shorter_than_a_new_replica_takes():
    (found,) = about_policy(policy(), [objective(horizon="2m")], start_up=180.0)
    assert "raise the horizon of load to 6m or more" in found.message


def test_of_two_policies_the_first_by_name_acts():
    words = rivals(policy("late"), [policy("early")], objective())
    assert words == (
        "early and late all select shop: where several would act at once, the first by name does, here early"
    )
    assert rivals(policy("late"), [], objective()) == ""
