"""The kind: the author of objects chooses how much work they cause, and must not delay others."""

import time

from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.engine.selection import MOST_FOR_ONE, MOST_POLICIES, select


def objective(name, **labels):
    return ServiceLevelObjective.read(
        {
            "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": labels},
            "spec": {
                "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "indicator": {"raw": {"errorRatio": "x"}},
                "objective": 99.0,
            },
        }
    )


def policy(name, **selector):
    spec = {"objectives": selector, "actions": [{"notify": {"channel": "pager"}}]}
    return RemediationPolicy.read({"metadata": {"name": name, "namespace": "shop", "uid": name}, "spec": spec})


def test_an_objective_has_the_policies_that_select_it():
    found = select(
        [objective("a", app="a"), objective("b", app="b")],
        [policy("all"), policy("one", matchLabels={"app": "a"}), policy("none", matchLabels={"app": "c"})],
    )
    assert [one.name for one in found.policies["a"]] == ["all", "one"]
    assert [one.name for one in found.policies["b"]] == ["all"]
    selected = {uid: [slo.name for slo in slos] for (uid, _), slos in found.objectives.items()}
    assert selected == {"all": ["a", "b"], "one": ["a"], "none": []}
    assert not found.left_out


def test_first_policies_by_name_are_used_and_the_others_are_reported():
    assert (MOST_POLICIES, MOST_FOR_ONE) == (200, 20)
    names = [f"p{number:04}" for number in range(MOST_POLICIES + 1)]
    found = select([objective("a")], [policy(name) for name in names])
    assert [one.name for one in found.policies["a"]] == names[:MOST_FOR_ONE]
    assert "1 of the objectives" in found.left_out[names[MOST_FOR_ONE]]
    assert "nothing is decided by it" in found.left_out[names[-1]]
    assert names[0] not in found.left_out
    assert not found.objectives[names[-1], 0]


def test_expensive_selectors_on_very_many_objectives_are_fast():
    values = [f"v{number}" for number in range(64)]
    dear = [{"key": f"k{number}", "operator": "NotIn", "values": values} for number in range(16)]
    labels = {f"k{number}": "other" for number in range(16)}
    policies = [policy(f"p{number:04}", matchExpressions=dear) for number in range(1000)]
    objectives = [objective(f"o{number}", **labels) for number in range(500)]
    began = time.process_time()
    select(objectives, policies)
    assert time.process_time() - began < 10  # 0.8 s; unbounded it were minutes
