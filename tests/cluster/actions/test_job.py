"""A runbook as a Job, with the chart's permissions, on the real Job controller."""

import asyncio
import json
import time
from typing import Any

import pytest

from forestall.actions import ACTIONS, TargetRequest
from forestall.api.remediation import ObjectRef
from forestall.api.remediation_policy import Rung
from forestall.core.decision import Hold
from forestall.ports import Cluster

JOB = Rung.model_validate({"job": {"cronJob": "runbook"}})
LABELS = {"app": "web"}
CONTAINER = {"name": "main", "image": "example.com/main"}
WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}},
    },
}


def runbook(*, suspend: bool = True, **spec: Any) -> dict[str, Any]:
    pod = {"containers": [CONTAINER], "restartPolicy": "Never"}
    unready = {"annotations": {"demo.forestall.dev/start-up": "1h"}}  # KWOK ends pods of Jobs when they are ready
    template = {"spec": {"template": {"metadata": unready, "spec": pod}, "backoffLimit": 0, **spec}}
    body = {"schedule": "0 0 31 2 *", "suspend": suspend, "jobTemplate": template}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "runbook"}, "spec": body}


@pytest.fixture
async def life(guarded):
    """A runbook, and the intent to run it for the Deployment `web`."""
    guarded.cluster.apply(WEB, runbook(), namespace=guarded.namespace)
    evidence = {"indicator": "queue", "value": "93", "limit": "100", "reason": "the queue is forecast to be full"}
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), JOB.dump(), evidence=evidence)
    return guarded


def jobs(life) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = life.cluster.find("Job", life.namespace)
    return found


async def end_pod(life, phase: str) -> None:
    """Let the runbook's only pod end in this phase, as the program in it would.

    The phase is set repeatedly until the Job has counted it: on a busy machine KWOK may start the pod again meanwhile.
    """
    end = time.monotonic() + 180
    while time.monotonic() < end:
        selector = f"job-name={life.remediation.name}"
        names = life.cluster.kubectl("get", "pods", "-n", life.namespace, "-l", selector, "-o", "name").stdout.split()
        if names:
            patch = json.dumps({"status": {"phase": phase}})
            life.cluster.kubectl(
                "patch", *names, "-n", life.namespace, "--subresource=status", "--type=merge", "-p", patch
            )
        if any(job.get("status", {}).get(phase.lower()) for job in jobs(life)):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("its job has counted no pod")


async def test_runbook_runs_once_and_is_verified_by_the_risk(life):
    await life.cycle()
    assert life.end == ("Executing", "InProgress")
    (job,) = jobs(life)
    env = {each["name"]: each.get("value", "") for each in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (env["FORESTALL_INDICATOR"], env["FORESTALL_VALUE"], env["FORESTALL_TARGET_NAME"]) == ("queue", "93", "web")
    assert job["metadata"]["name"] == env["FORESTALL_REMEDIATION"] == life.remediation.name
    assert job["spec"]["activeDeadlineSeconds"] == 1790
    await end_pod(life, "Succeeded")
    await life.until("Verifying")
    await life.cycle(probability=0.1)
    assert life.end == ("Succeeded", "Verified")
    assert len(jobs(life)) == 1


async def test_failed_runbook_ends_the_remediation(life):
    await life.cycle()
    await end_pod(life, "Failed")
    await life.until("Failed")
    assert life.end == ("Failed", "JobFailed")
    assert "BackoffLimitExceeded" in life.remediation.status.message


async def test_runbook_that_did_not_help_is_reported(life):
    await life.cycle()
    await end_pod(life, "Succeeded")
    await life.until("Verifying")
    await life.cycle(400)
    assert life.end == ("Failed", "NotHelped")


async def test_kubernetes_ends_the_runbook_at_the_deadline(guarded):
    nowhere = {"containers": [CONTAINER], "restartPolicy": "Never", "nodeSelector": {"no": "where"}}
    guarded.cluster.apply(
        WEB, runbook(template={"spec": nowhere}, activeDeadlineSeconds=1), namespace=guarded.namespace
    )
    await guarded.open(guarded.ref("apps/v1", "Deployment", "web"), JOB.dump())
    await guarded.until("Failed", after=0.1)
    assert guarded.end == ("Failed", "JobFailed")
    assert "DeadlineExceeded" in guarded.remediation.status.message


async def test_job_is_deleted_with_its_remediation(life):
    await life.cycle()
    life.cluster.kubectl("delete", "remediation", life.remediation.name, "-n", life.namespace)
    life.cluster.kubectl("wait", "--for=delete", f"job/{life.remediation.name}", "-n", life.namespace, "--timeout=40s")


async def test_deleted_job_is_not_run_again(life):
    await life.cycle()
    life.cluster.kubectl("delete", "job", life.remediation.name, "-n", life.namespace)
    await life.cycle()
    assert life.end == ("Aborted", "JobGone")
    assert jobs(life) == []


async def test_job_of_another_owner_is_left_alone(life):
    name = life.remediation.name
    life.cluster.kubectl("create", "job", name, "--image=x", "-n", life.namespace)
    await life.cycle()
    assert life.end == ("Aborted", "JobExists")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("delete", "cronjob", "runbook"), "RunbookMissing"),
        (("patch", "cronjob", "runbook", "-p", '{"spec":{"suspend":false}}'), "RunbookNotSuspended"),
        (("delete", "deployment", "web"), "TargetGone"),
    ],
)
async def test_no_job_without_runbook_or_target(life, change, reason):
    life.cluster.kubectl(*change, "-n", life.namespace)
    await life.cycle()
    assert life.end == ("Aborted", reason)
    assert jobs(life) == []


async def test_recreated_target_gets_no_runbook(life):
    life.cluster.kubectl("delete", "deployment", "web", "-n", life.namespace)
    life.cluster.apply(WEB, namespace=life.namespace)
    await life.cycle()
    assert life.end == ("Aborted", "TargetReplaced")


@pytest.mark.parametrize(
    ("cron_job", "reason"), [(None, "RunbookMissing"), (runbook(suspend=False), "RunbookNotSuspended")]
)
async def test_invalid_runbook_passes_to_the_next_rung(guarded, cron_job, reason):
    guarded.cluster.apply(WEB, *([cron_job] if cron_job else []), namespace=guarded.namespace)
    found = await _aim(guarded.port, guarded.ref("apps/v1", "Deployment", "web"))
    assert isinstance(found, Hold)
    assert found.reason == reason


async def _aim(port: Cluster, target: ObjectRef) -> object:
    return await ACTIONS["Job"].resolve_target(port, TargetRequest(JOB, target, {}, 0.0))
