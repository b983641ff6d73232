"""Which objectives can be asked about, and why the others can't."""

import pytest
from structlog.testing import capture_logs

from forestall.api import ServiceLevelObjective
from forestall.engine.indicator_queries import plan_queries
from forestall.engine.objective_status import Problem
from forestall.engine.query_planner import QueryPlanner, dependencies, stale_after
from forestall.registry import Registry

FIELDS = {"target": {"name": "checkout"}, "indicator": {"raw": {"errorRatio": "sum(errors)"}}, "objective": 99.0}


def objective(name="checkout", generation=1, namespace="shop", **spec):
    metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "generation": generation}
    return ServiceLevelObjective.read({"metadata": metadata, "spec": {**FIELDS, "source": "main", **spec}})


@pytest.fixture
def registry():
    registry = Registry()
    registry.put("Namespace", {"metadata": {"name": "shop", "uid": "n", "labels": {"tier": "gold"}}, "spec": {}})
    put_source(registry)
    return registry


def put_source(registry, generation=1, uid="s", **spec):
    metadata = {"name": "main", "uid": uid, "generation": generation, "resourceVersion": ""}
    registry.put("MetricSource", {"metadata": metadata, "spec": {"url": "http://x", **spec}})


@pytest.mark.parametrize(
    ("change", "slo", "problem"),
    [
        pytest.param(
            None,
            objective(source="none"),
            Problem("SourceMissing", "MetricSource 'none' does not exist: ask a cluster admin for it"),
            id="no source",
        ),
        pytest.param(
            {"url": "no"},
            objective(),
            Problem("SourceMissing", "MetricSource 'main' is invalid: ask a cluster admin for it"),
            id="a source that is wrong",
        ),
        pytest.param(
            {"namespaces": {"matchLabels": {"tier": "silver"}}},
            objective(),
            Problem("SourceNotAllowed", "MetricSource 'main' is not open to namespace 'shop'"),
            id="a source of others",
        ),
        pytest.param(
            {},
            objective(namespace="bank"),
            Problem("SourceNotAllowed", "MetricSource 'main' is not open to namespace 'bank'"),
            id="a namespace that is not known",
        ),
        pytest.param({"namespaces": {"matchLabels": {"tier": "gold"}}}, objective(), None, id="a source for it"),
    ],
)
def test_an_objective_is_asked_about_where_its_source_is_open_to_it(registry, change, slo, problem):
    put_source(registry, **(change or {}))
    queries, problems = QueryPlanner(registry, 30.0).questions([slo])
    assert problems == ({} if problem is None else {slo.uid: problem})
    assert list(queries) == ([slo.uid] if problem is None else [])


def test_a_query_that_is_wrong_is_the_problem_of_its_objective_alone(registry):
    wrong = objective("wrong", indicator={"raw": {"errorRatio": "sum(errors"}})
    queries, problems = QueryPlanner(registry, 30.0).questions([wrong, objective()])
    assert list(queries) == ["shop/checkout"]
    assert problems["shop/wrong"].reason == "InvalidQuery"
    assert "errorRatio" in problems["shop/wrong"].message


def counted(monkeypatch):
    """Return the names of the objectives whose queries are made from now on."""
    made: list[str] = []

    def plan(slo, *args):
        made.append(slo.name)
        return plan_queries(slo, *args)

    monkeypatch.setattr("forestall.engine.query_planner.plan_queries", plan)
    return made


def test_queries_are_made_once_for_each_generation_of_objective_and_source(registry, monkeypatch):
    made = counted(monkeypatch)
    planner = QueryPlanner(registry, 30.0)
    first, _ = planner.questions([objective()])
    second, _ = planner.questions([objective()])
    assert (made, second["shop/checkout"] is first["shop/checkout"]) == (["checkout"], True)
    assert first["shop/checkout"].window_interval == 1800.0
    planner.questions([objective(generation=2)])
    put_source(registry, generation=2)
    planner.questions([objective(generation=2)])
    put_source(registry, generation=2, uid="t")
    planner.questions([objective(generation=2)])
    assert len(made) == 4
    planner.questions([objective("other")])
    planner.questions([objective(generation=2)])
    assert len(made) == 6, "what is gone is forgotten"


def test_invalid_objective_is_planned_once_for_each_generation(registry, monkeypatch):
    made = counted(monkeypatch)
    planner = QueryPlanner(registry, 30.0)
    wrong = objective(indicator={"raw": {"errorRatio": "sum(errors"}})
    assert planner.questions([wrong])[1] == planner.questions([wrong])[1]
    assert made == ["checkout"]


def test_an_unexpected_error_is_the_problem_of_its_objective_alone(registry, monkeypatch):
    def broken(slo, *args):
        if slo.name == "broken":
            raise RuntimeError("by one tenant's object")
        return plan_queries(slo, *args)

    monkeypatch.setattr("forestall.engine.query_planner.plan_queries", broken)
    with capture_logs():
        queries, problems = QueryPlanner(registry, 30.0).questions([objective("broken"), objective()])
    assert list(queries) == ["shop/checkout"]
    assert problems["shop/broken"].reason == "InternalError"
    assert "RuntimeError" in problems["shop/broken"].message


@pytest.mark.parametrize(
    ("name", "interval", "seconds"), [("main", 30.0, 120.0), ("main", 90.0, 180.0), ("none", 30.0, 60.0)]
)
def test_data_may_be_two_intervals_old_at_least(registry, name, interval, seconds):
    assert stale_after(registry, interval, name) == seconds


def test_objectives_depend_on_those_of_their_own_namespace_that_exist():
    given = [
        objective("a", dependsOn=["b", "none"]),
        objective("b"),
        objective("a", namespace="bank", dependsOn=["b"]),
    ]
    assert dependencies({slo.uid: slo for slo in given}) == {
        "shop/a": frozenset({"shop/b"}),
        "shop/b": frozenset(),
        "bank/a": frozenset(),
    }
