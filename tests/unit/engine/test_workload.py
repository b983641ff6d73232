"""What the guards know of a workload: its protection, and how many pods may be missing."""

from typing import Any

import pytest

from forestall.core.guards import DisruptionBudget, WorkloadPods
from forestall.engine.workload import budgets_of, workload_of


def body(kind="Deployment", status=None, annotations=None, **spec):
    return {"kind": kind, "metadata": {"annotations": annotations}, "spec": spec, "status": status or {}}


def deployment(unavailable, replicas=10, ready=10):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable}}
    return body(replicas=replicas, strategy=strategy, status={"readyReplicas": ready})


@pytest.mark.parametrize(
    ("given", "pods"),
    [
        (body(status={"readyReplicas": 1}), WorkloadPods(1, 1, 0, is_bounded=True)),
        (body(replicas=3), WorkloadPods(3, 0, 0, is_bounded=True)),
        (body(replicas=8), WorkloadPods(8, 0, 2, is_bounded=True)),
        (deployment("25%", 3, 2), WorkloadPods(3, 2, 0, is_bounded=True)),
        (deployment("33%"), WorkloadPods(10, 10, 3, is_bounded=True)),
        (deployment("29%", 100), WorkloadPods(100, 10, 29, is_bounded=True)),
        (deployment(2), WorkloadPods(10, 10, 2, is_bounded=True)),
        (body(replicas=3, strategy={"type": "Recreate"}), WorkloadPods(3, 0, 3)),
        (body("StatefulSet", replicas=3, status={"readyReplicas": 3}), WorkloadPods(3, 3, 1)),
        (
            body("StatefulSet", replicas=9, updateStrategy={"rollingUpdate": {"maxUnavailable": "12%"}}),
            WorkloadPods(9, 0, 2),
        ),
        (
            body("DaemonSet", status={"desiredNumberScheduled": 5, "numberReady": 4}),
            WorkloadPods(5, 4, 1, is_bounded=True),
        ),
        (
            body(
                "DaemonSet",
                status={"desiredNumberScheduled": 5, "numberReady": 4},
                updateStrategy={"rollingUpdate": {"maxUnavailable": "30%"}},
            ),
            WorkloadPods(5, 4, 2, is_bounded=True),
        ),
        (
            body("StatefulSet", replicas=9, updateStrategy={"rollingUpdate": {"maxUnavailable": 0}}),
            WorkloadPods(9, 0, 1),
        ),
        (deployment("55%", 20), WorkloadPods(20, 10, 11, is_bounded=True)),
        (body("Rollout", replicas=3), None),
        # What its controller has not looked at may be rolling.
        (
            {**body(replicas=4, status={"readyReplicas": 4, "observedGeneration": 1}), "metadata": {"generation": 2}},
            WorkloadPods(4, 4, 1, is_bounded=True, is_rolling=True),
        ),
        (
            {**body(replicas=4, status={"readyReplicas": 4, "observedGeneration": 2}), "metadata": {"generation": 2}},
            WorkloadPods(4, 4, 1, is_bounded=True),
        ),
        (
            {**body(replicas=4, status={"readyReplicas": 4}), "metadata": {"generation": "new"}},
            WorkloadPods(4, 4, 1, is_bounded=True, is_rolling=True),
        ),
        (
            {
                **body(replicas=4, strategy={"type": "Recreate"}, status={"readyReplicas": 4}),
                "metadata": {"generation": 2},
            },
            WorkloadPods(4, 4, 4),
        ),
        ({**body("DaemonSet"), "metadata": {"generation": 1}}, None),
        # Before its controller has looked, nobody can say that none is ready.
        ({**body(replicas=3), "metadata": {"generation": 1}}, None),
        # What can't be understood is not known.
        (body(replicas="many"), None),
        (body(replicas=3, status={"readyReplicas": "all"}), None),
        (deployment("most"), None),
        (deployment("٢٥%"), None),
        (body("DaemonSet", status="fine"), WorkloadPods(0, 0, 1, is_bounded=True)),
    ],
)
def test_max_unavailable_pods_of_a_rollout(given, pods):
    assert workload_of(given).pods == pods


@pytest.mark.parametrize(
    ("reason", "rolling"),
    [
        ("NewReplicaSetCreated", True),
        ("ReplicaSetUpdated", True),
        ("NewReplicaSetAvailable", False),
        ("ProgressDeadlineExceeded", False),
        (None, False),
    ],
)
def test_rollout_under_way(reason, rolling):
    conditions = [] if reason is None else [{"type": "Progressing", "reason": reason}, {"type": "Available"}]
    pods = workload_of(body(replicas=3, status={"conditions": conditions})).pods
    assert pods is not None
    assert pods.is_rolling is rolling


@pytest.mark.parametrize(
    ("annotations", "protected"),
    [
        (None, False),
        ({}, False),
        ({"forestall.dev/protected": "true"}, True),
        ({"forestall.dev/protected": "false"}, False),
    ],
)
def test_annotation_protects_a_workload(annotations, protected):
    assert workload_of(body(annotations=annotations)).protected is protected


def test_disruption_budgets_that_select_the_pods():
    def budget(name, selector, allowed=None):
        spec = {} if selector is None else {"selector": selector}
        status = {} if allowed is None else {"status": {"disruptionsAllowed": allowed}}
        return {"metadata": {"name": name}, "spec": spec, **status}

    bodies = [
        budget("all", {}, 2),
        budget("none", None, 0),
        budget("mine", {"matchLabels": {"app": "web"}}, 1),
        budget("new", {"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
        budget("other", {"matchLabels": {"app": "db"}}, 0),
    ]
    assert budgets_of({"app": "web"}, bodies) == (
        DisruptionBudget("all", 2),
        DisruptionBudget("mine", 1),
        DisruptionBudget("new", 0),
    )


def test_unparsable_disruption_budget_is_not_left_out():
    """An object of users is parsed by Kubernetes' own rules, not by ours; what can't be parsed is unknown."""
    many = [f"v{number}" for number in range(65)]
    bodies: list[dict[str, Any]] = [
        {"metadata": {"name": "many"}, "spec": {"selector": {"matchExpressions": [
            {"key": "app", "operator": "NotIn", "values": many}] * 17}}, "status": {"disruptionsAllowed": 1}},
        {"metadata": {"name": "odd"}, "spec": {"selector": {"matchExpressions": [{"key": "app"}]}}},
        {"metadata": {"name": "text"}, "spec": {"selector": {}}, "status": {"disruptionsAllowed": "all"}},
        {"metadata": {"name": "bare"}, "spec": None},
    ]  # fmt: skip
    assert budgets_of({"app": "web"}, bodies) == (
        DisruptionBudget("many", 1),
        DisruptionBudget("odd", None),
        DisruptionBudget("text", None),
    )
    assert workload_of({"metadata": {}, "spec": {"template": "web"}, "status": None}).labels == {}


@pytest.mark.parametrize("status", [{}, {"conditions": "none"}, {"conditions": [{"type": "DisruptionAllowed"}]}])
def test_disruption_budget_that_its_controller_cannot_evaluate_is_reported(status):
    """Kind: who refused. Such a PodDisruptionBudget allows nothing, however many pods are ready."""
    words = "jobs.batch does not implement the scale subresource"
    failed = {"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": words}
    body = {"metadata": {"name": "web"}, "spec": {"selector": {}}, "status": {"expectedPods": 0, **status}}
    assert budgets_of({}, [body]) == (DisruptionBudget("web", 0),)
    (shut,) = budgets_of({}, [{**body, "status": {"conditions": [failed]}}])
    assert words in shut.message
