"""The Job that is made of a runbook."""

from typing import Any

import pytest

from forestall.actions.job import environment, job
from forestall.api import Remediation
from forestall.api.times import stamp

START = 1_000_000.0


def remediation(**status: Any) -> Remediation:
    owner = {"apiVersion": "forestall.dev/v1alpha1", "namespace": "shop", "name": "checkout"}
    intent = {
        "policy": {**owner, "kind": "RemediationPolicy"},
        "objective": {**owner, "kind": "ServiceLevelObjective"},
        "episode": 1,
        "target": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web"},
        "action": {"job": {"cronJob": "runbook"}},
        "mode": "Auto",
        "evidence": {"indicator": "queue", "labels": {"pod": "a $(PASSWORD)"}, "value": "93", "limit": "100"},
        "created": stamp(START),
        "deadline": stamp(START + 600),
    }
    metadata = {"name": "checkout-job-1", "namespace": "shop", "uid": "u-1"}
    return Remediation.read({"metadata": metadata, "spec": {"intent": intent}, "status": status})


def cron_job(**spec: Any) -> dict[str, Any]:
    env = [{"name": "FORESTALL_VALUE", "value": "forged"}, {"name": "PASSWORD", "value": "secret"}]
    pod = {"initContainers": [{"name": "a"}], "containers": [{"name": "b", "env": env}], "restartPolicy": "Never"}
    template = {"metadata": {"labels": {"x": "y"}}, "spec": {"template": {"spec": pod}, **spec}}
    return {"spec": {"suspend": True, "jobTemplate": template}}


def test_every_container_is_told_the_evidence():
    pod = job(remediation(), cron_job())["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        told = {each["name"]: each["value"] for each in container["env"]}
        assert told["FORESTALL_VALUE"] == "93"
        assert told["FORESTALL_TARGET_NAME"] == "web"
        assert told.keys() >= environment(remediation()).keys()
        assert len(container["env"]) == len(told), "no variable is there twice"
    assert {each["name"]: each["value"] for each in pod["containers"][0]["env"]}["PASSWORD"] == "secret"


def test_a_label_can_not_name_another_variable():
    (container,) = job(remediation(), cron_job())["spec"]["template"]["spec"]["containers"]
    labels = next(each["value"] for each in container["env"] if each["name"] == "FORESTALL_LABELS")
    assert labels == '{"pod": "a $$(PASSWORD)"}'


def test_the_job_belongs_to_its_remediation_and_lasts_as_long():
    made = job(remediation(), cron_job(ttlSecondsAfterFinished=0))
    assert made["metadata"]["name"] == "checkout-job-1"
    assert [owner["uid"] for owner in made["metadata"]["ownerReferences"]] == ["u-1"]
    assert made["metadata"]["labels"] == {"x": "y", "forestall.dev/remediation": "checkout-job-1"}
    assert "ttlSecondsAfterFinished" not in made["spec"]


@pytest.mark.parametrize(("own", "at", "expected"), [(None, 100, 500), (60, 100, 60), (9000, 100, 500), (None, 700, 1)])
def test_its_deadline_is_what_is_left_of_the_remediations(own, at, expected):
    step = {"at": stamp(START + at), "change": "run it", "from": 0, "to": 1}
    spec = {} if own is None else {"activeDeadlineSeconds": own}
    assert job(remediation(steps=[step]), cron_job(**spec))["spec"]["activeDeadlineSeconds"] == expected


def test_the_cron_job_is_left_as_it_is():
    before, after = cron_job(), cron_job()
    job(remediation(), after)
    assert after == before
