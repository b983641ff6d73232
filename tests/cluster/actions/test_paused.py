"""Each action on the real controllers: after people pause it nothing is changed until they resume it."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from forestall import actions
from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags"}, "data": {"flag": "on"}}
RUNBOOK = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "runbook"},
    "spec": {
        "schedule": "0 0 31 2 *",
        "suspend": True,
        "jobTemplate": {
            "spec": {"template": {"spec": {"containers": [{"name": "x", "image": "x"}], "restartPolicy": "Never"}}}
        },
    },
}
FLAG = {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "flags"}
ACTIONS: dict[str, dict[str, Any]] = {
    "scale": {"maxReplicas": 6},
    "restart": {},
    "rollback": {},
    "patch": {"target": FLAG, "field": "/data/flag", "value": "off"},
    "job": {"cronJob": "runbook"},
    "evict": {},
    "cordon": {},
    "drain": {},
}


def test_cases_cover_every_action_that_changes_the_cluster():
    assert {name.lower() for name in actions.ACTIONS} == {*ACTIONS, "notify"}


@dataclass
class Case:
    """The target of an action."""

    target: ObjectRef
    more: dict[str, Any] = field(default_factory=dict)
    """Other fields of the intent."""


def prepare(life, action: str, node: str) -> Case:
    pinned = {"nodeSelector": {"kubernetes.io/hostname": node}} if action == "drain" else {}
    pod = {"containers": [{"name": "main", "image": "example.com/main:v1"}], **pinned}
    labels = {"app": "web"}
    web = life.run(replicas=2, template={"metadata": {"labels": labels}, "spec": pod})
    match action:
        case "scale":
            return Case(web, {"from": 2, "to": 5})
        case "rollback":
            newer = {"containers": [{"name": "main", "image": "example.com/main:v2"}]}
            life.run(replicas=2, template={"metadata": {"labels": labels}, "spec": newer})
            return Case(web, {"from": 2, "to": 1})
        case "patch":
            life.cluster.apply(CONFIG, namespace=life.namespace)
            return Case(life.ref("v1", "ConfigMap", "flags"))
        case "job":
            life.cluster.apply(RUNBOOK, namespace=life.namespace)
        case "evict":
            return Case(life.ref("v1", "Pod", min(life.pods().values())))
        case "cordon" | "drain":
            return Case(life.ref("v1", "Node", node))
    return Case(web)


def state(life, node: str) -> dict[str, Any]:
    """Return the state of everything that an action may change."""
    web = life.cluster.get("deployment", "web", life.namespace)
    others = life.cluster.items("configmaps,jobs", life.namespace)
    return {
        "workload": web["metadata"]["generation"],
        "others": {body["metadata"]["name"]: body.get("data") for body in others},
        "pods": life.pods().keys(),
        "cordoned": life.cluster.get("node", node)["spec"].get("unschedulable"),
    }


@pytest.mark.parametrize("action", ACTIONS)
async def test_pause_stops_the_action_until_it_ends(guarded, node, action):
    case = prepare(guarded, action, node)
    await guarded.open(case.target, {action: ACTIONS[action]}, **case.more)
    before = state(guarded, node)
    guarded.stopped = Hold("Paused", "everything is paused by jo: an incident")
    for _ in range(3):
        await guarded.cycle()
    assert guarded.remediation.status.reason == "Paused"
    assert "by jo: an incident" in guarded.remediation.status.message
    assert state(guarded, node) == before
    guarded.stopped = None
    await guarded.until("Executing", "Verifying")
    assert state(guarded, node) != before
