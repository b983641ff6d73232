"""Run a runbook: a Job made from a suspended CronJob, with the evidence in its environment.

As `kubectl create job --from=cronjob/NAME` does. The CronJob's author answers for what runs and with which rights; that
it is suspended says that it is meant to be run on demand. The Job has the Remediation's name, belongs to it and lasts
as long: so it can be made only once, and is deleted with it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from forestall.actions.base import (
    Change,
    Next,
    NotApplicable,
    ObservedState,
    TargetRequest,
    TimedOutlook,
    missing,
    title,
)
from forestall.actions.verdict import await_verdict
from forestall.api.meta import API_VERSION
from forestall.api.remediation import Intent, ObjectRef, Remediation
from forestall.api.times import seconds
from forestall.core.decision import Hold
from forestall.core.traits import ActionTraits
from forestall.core.untrusted import get_path, mappings, parsing, string
from forestall.errors import NotFound
from forestall.ports import Cluster, Reader, Right

_BATCH: Final = "batch/v1"
_LABEL: Final = "forestall.dev/remediation"
_BY_HAND: Final = {"cronjob.kubernetes.io/instantiate": "manual"}


class Job:
    """The action `job`."""

    traits: ClassVar[ActionTraits] = ActionTraits(
        name="Job",
        scope="workload",
        changes_cluster=True,
        disruption="none",
        changes_replicas=False,
        cause_label="",
        verification="indicator",
        lowers_risk=True,
        spent_for="objective",
        kept_while_at_risk=False,
        undo="none: what the runbook did, only the runbook knows",
        allowed_by_default=True,
        chart_value="workloads.jobs",
    )

    def rights(self, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
        """Return the right to create Jobs."""
        del subject
        return (Right("create", _BATCH, "Job", namespace=target.namespace),)

    async def resolve_target(self, cluster: Reader, request: TargetRequest) -> ObjectRef | Hold:
        """Return the workload, if there is a runbook for it."""
        if request.rung.job is None:
            raise ValueError("the rung is no job")
        runbook = await _runbook(cluster, request.workload.namespace, request.rung.job.cron_job)
        return NotApplicable(runbook.reason, runbook.message) if isinstance(runbook, Hold) else request.workload

    async def observe(self, cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
        """Return whether the Job was made, and how far it is."""
        intent, ref = remediation.spec.intent, _job(remediation)
        try:
            body = await cluster.read(ref)
        except NotFound:
            return await _not_created(cluster, remediation)
        if remediation.signature not in [
            owner.get("uid") for owner in mappings(get_path(body, "metadata", "ownerReferences"))
        ]:
            return Hold("JobExists", f"{title(ref)} is not of this remediation; it is left alone")
        conditions = {
            string(condition.get("type")): condition for condition in mappings(get_path(body, "status", "conditions"))
        }
        failure = conditions.get("Failed", {})
        message = (
            f"runbook {_runbook_of(intent)} failed: {failure.get('reason', '')} {failure.get('message', '')}".strip()
        )
        return ObservedState(
            level=1,
            subject=ref.model_copy(update={"uid": body["metadata"]["uid"]}),
            resource_version=body["metadata"]["resourceVersion"],
            settled=conditions.get("Complete", {}).get("status") == "True",
            failed=Hold("JobFailed", message) if failure.get("status") == "True" else None,
        )

    def first_change(self, remediation: Remediation, observed: ObservedState) -> Change | Hold:
        """Return the run."""
        intent = remediation.spec.intent
        description = f"run {_runbook_of(intent)} as {title(observed.subject)}"
        return Change(1, description, intent.evidence.reason, increases=True)

    def next_change(
        self, remediation: Remediation, observed: ObservedState, recent: Sequence[TimedOutlook], now: float
    ) -> Next:
        """Wait for the verdict of the verification."""
        del recent
        message = f"runbook {_runbook_of(remediation.spec.intent)} was run as {title(observed.subject)}"
        return await_verdict(remediation, message, now, undo="what it did is not undone")

    async def write(self, cluster: Cluster, remediation: Remediation, observed: ObservedState, to: int) -> None:
        """Create the Job."""
        del to
        intent = remediation.spec.intent
        runbook = await _runbook(cluster, observed.subject.namespace, _runbook_of(intent))
        if isinstance(runbook, Hold):
            raise NotFound(runbook.message)
        with parsing(f"the runbook {_runbook_of(intent)}"):
            body = job(remediation, runbook)
        await cluster.create(body)


def job(remediation: Remediation, cron_job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Job of `remediation` as `cron_job` has it, with the evidence, the deadline and the owner.

    The deadline is what is left of the Remediation's when its step was written down. A `ttlSecondsAfterFinished` is
    dropped: a Job that went before it was seen could be made again.
    """
    intent, template = remediation.spec.intent, cron_job["spec"]["jobTemplate"]
    metadata, spec = template.get("metadata") or {}, dict(template["spec"])
    spec.pop("ttlSecondsAfterFinished", None)
    left = _left(remediation)
    spec["activeDeadlineSeconds"] = min(left, spec.get("activeDeadlineSeconds", left))
    spec["template"] = _with_environment(spec["template"], environment(remediation))
    owner = {"apiVersion": API_VERSION, "kind": Remediation.KIND, "name": remediation.name, "uid": remediation.uid}
    return {
        "apiVersion": _BATCH,
        "kind": "Job",
        "metadata": {
            "name": remediation.name,
            "namespace": intent.objective.namespace,
            "labels": {**(metadata.get("labels") or {}), _LABEL: remediation.name},
            "annotations": {**(metadata.get("annotations") or {}), **_BY_HAND},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def environment(remediation: Remediation) -> dict[str, str]:
    """Return what a runbook is told, by the names of its environment variables."""
    intent = remediation.spec.intent
    evidence = intent.evidence
    variables = {
        "REMEDIATION": remediation.name,
        "NAMESPACE": intent.objective.namespace,
        "OBJECTIVE": intent.objective.name,
        "POLICY": intent.policy.name,
        "TARGET_KIND": intent.target.kind,
        "TARGET_NAME": intent.target.name,
        "INDICATOR": evidence.indicator,
        "LABELS": json.dumps(evidence.labels, sort_keys=True),
        "VALUE": evidence.value,
        "LIMIT": evidence.limit,
        "PROBABILITY": evidence.probability,
        "TIME_TO_BREACH": evidence.time_to_breach,
        "REASON": evidence.reason,
    }
    return {f"FORESTALL_{name}": value for name, value in variables.items()}


def _with_environment(template: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    # A label's value such as `$(PASSWORD)` is text; Kubernetes would put another variable's value in its place.
    extra = [{"name": name, "value": value.replace("$", "$$")} for name, value in variables.items()]
    pod = dict(template["spec"])
    for field in ("initContainers", "containers"):
        if field in pod:
            pod[field] = [
                {
                    **container,
                    "env": [
                        *(variable for variable in container.get("env") or () if variable["name"] not in variables),
                        *extra,
                    ],
                }
                for container in pod[field]
            ]
    return {**template, "spec": pod}


def _left(remediation: Remediation) -> int:
    intent, steps = remediation.spec.intent, remediation.status.steps
    start = seconds(steps[-1].at if steps else intent.created) or 0.0
    return max(1, int((seconds(intent.deadline) or start) - start))


def _job(remediation: Remediation) -> ObjectRef:
    namespace = remediation.spec.intent.objective.namespace
    return ObjectRef(api_version=_BATCH, kind="Job", namespace=namespace, name=remediation.name)


def _runbook_of(intent: Intent) -> str:
    if intent.action.job is None:
        raise ValueError("the intent is no job")
    return intent.action.job.cron_job


async def _runbook(cluster: Reader, namespace: str, name: str) -> Mapping[str, Any] | Hold:
    """Return the CronJob, or why it is no runbook."""
    ref = ObjectRef(api_version=_BATCH, kind="CronJob", namespace=namespace, name=name)
    try:
        body = await cluster.read(ref)
    except NotFound:
        return Hold("RunbookMissing", f"there is no {title(ref)} to make the Job from")
    if get_path(body, "spec", "suspend") is not True or get_path(body, "metadata", "deletionTimestamp"):
        return Hold("RunbookNotSuspended", f"{title(ref)} runs by its own schedule; only a suspended one is a runbook")
    return body


async def _not_created(cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
    intent, ref, steps = remediation.spec.intent, _job(remediation), remediation.status.steps
    if steps and steps[-1].done:
        return Hold("JobGone", f"{title(ref)} was deleted by somebody before it had ended; it is not run again")
    target_missing = await missing(cluster, intent.target)
    if target_missing is not None:
        return target_missing
    runbook = await _runbook(cluster, ref.namespace, _runbook_of(intent))
    return runbook if isinstance(runbook, Hold) else ObservedState(level=0, subject=ref, resource_version="")
