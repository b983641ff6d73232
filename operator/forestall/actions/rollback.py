"""Roll a workload back to its previous revision, once, where a risk began soon after a rollout.

The template of the previous revision is put in place of the present one, as `kubectl rollout undo` does. An annotation
of the workload carries the UID of the Remediation, so that a replay does nothing.

A rollback that did not help stays. The previous revision is the last one that is known to have served; to roll forward
again would replace every pod a second time while the service is in trouble, and bring back what nobody has looked at.
The outcome names the command with which a person does so.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from forestall.actions.base import (
    Change,
    Next,
    NotApplicable,
    ObservedState,
    TargetRequest,
    TargetWithLevels,
    TimedOutlook,
    find_target,
    title,
)
from forestall.actions.merging import difference
from forestall.actions.ownership import field_owned
from forestall.actions.revisions import Rollout, is_current, revisions, rollout
from forestall.actions.rights import may_patch
from forestall.actions.rollout import KINDS, complete, obstacle, stuck
from forestall.actions.unfinished import find_unfinished
from forestall.actions.verdict import await_verdict
from forestall.api.remediation import ObjectRef, Remediation
from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.traits import ActionTraits
from forestall.core.untrusted import get_path, mapping
from forestall.errors import NotFound
from forestall.ports import Cluster, Reader, Right

ROLLED_BACK_BY: Final = "forestall.dev/rolled-back-by"
_CAUSE: Final = "kubernetes.io/change-cause"
_TEMPLATE: Final = ("spec", "template")


class Rollback:
    """The action `rollback`."""

    traits: ClassVar[ActionTraits] = ActionTraits(
        name="Rollback",
        scope="workload",
        changes_cluster=True,
        disruption="rollout",
        changes_replicas=False,
        cause_label="",
        verification="indicator",
        lowers_risk=True,
        spent_for="objective",
        kept_while_at_risk=False,
        undo="none: the previous revision stays until a person rolls forward",
        allowed_by_default=True,
        chart_value="workloads.rollback",
    )

    def rights(self, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
        """Return the right to patch the workload."""
        del subject
        return (may_patch(target),)

    async def resolve_target(self, cluster: Reader, request: TargetRequest) -> TargetWithLevels | Hold:
        """Return the workload and its newest and previous revision, if the risk began soon after that rollout."""
        target, name = request.workload, title(request.workload)
        if target.kind not in KINDS or not target.api_version.startswith("apps/"):
            return NotApplicable("NoRevisions", f"{name} is none of {', '.join(KINDS)}: no revisions of it are kept")
        body = await cluster.read(target)
        latest = rollout(await revisions(cluster, body))
        if latest is None:
            return NotApplicable("NoRevisions", f"no revisions of {name} are kept")
        if not is_current(latest.newest, body):
            return Hold("RolloutUnknown", f"the newest revision of {name} is not known yet")
        unsuited = _unsuited(request, latest) or field_owned(body, target, _TEMPLATE)
        if unsuited is not None:
            return NotApplicable(unsuited.reason, unsuited.message)
        if latest.previous is None:
            return NotApplicable(
                "NoRevisions", f"no earlier revision of {name} is kept to which it could be rolled back"
            )
        return obstacle(body, target) or TargetWithLevels(target, latest.newest.number, latest.previous.number)

    async def observe(self, cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
        """Return whether the workload was rolled back by this remediation, and how far the rollout is."""
        target = remediation.spec.intent.target
        body = await find_target(cluster, target)
        if isinstance(body, Hold):
            return body
        is_done = get_path(body, "metadata", "annotations", ROLLED_BACK_BY) == remediation.signature
        hold = None if is_done else await _hold(cluster, remediation, body)
        return hold or ObservedState(
            level=int(is_done),
            subject=target,
            resource_version=body["metadata"]["resourceVersion"],
            settled=is_done and complete(body),
            failed=stuck(body) if is_done else None,
            unfinished=await find_unfinished(cluster, target, body) if is_done else None,
        )

    def first_change(self, remediation: Remediation, observed: ObservedState) -> Change | Hold:
        """Return the rollback."""
        intent = remediation.spec.intent
        description = f"roll {title(observed.subject)} back from revision {intent.from_} to {intent.to}"
        return Change(1, description, intent.evidence.reason, increases=True)

    def next_change(
        self, remediation: Remediation, observed: ObservedState, recent: Sequence[TimedOutlook], now: float
    ) -> Next:
        """Wait for the verdict of the verification."""
        del recent
        intent, ref = remediation.spec.intent, observed.subject
        forward = f"kubectl rollout undo {ref.kind.lower()}/{ref.name} -n {ref.namespace} --to-revision={intent.from_}"
        return await_verdict(
            remediation,
            f"{title(ref)} was rolled back to revision {intent.to}",
            now,
            undo=f"it stays there; `{forward}` rolls it forward again",
        )

    async def write(self, cluster: Cluster, remediation: Remediation, observed: ObservedState, to: int) -> None:
        """Put the previous template in place, and sign the workload."""
        del to
        intent = remediation.spec.intent
        body = await cluster.read(observed.subject)
        wanted = next((revision for revision in await revisions(cluster, body) if revision.number == intent.to), None)
        if wanted is None:
            raise NotFound(f"revision {intent.to} of {title(observed.subject)} is gone")
        cause = f"forestall rolled back from revision {intent.from_} (Remediation {remediation.name})"
        patch = {
            "metadata": {"annotations": {ROLLED_BACK_BY: remediation.signature, _CAUSE: cause}},
            "spec": {"template": difference(mapping(get_path(body, *_TEMPLATE)), wanted.template)},
        }
        await cluster.patch(observed.subject, patch, observed.resource_version)


def _unsuited(request: TargetRequest, latest: Rollout) -> NotApplicable | None:
    if request.rung.rollback is None:
        raise ValueError("the rung is no rollback")
    within, age = request.rung.rollback.within, request.risk_since - latest.created
    name = title(request.workload)
    if latest.reused:
        return NotApplicable("NoRolloutBefore", f"the newest rollout of {name} was a rollback, which is not undone")
    if age < 0:
        return NotApplicable("NoRolloutBefore", f"the newest rollout of {name} came after the risk had begun")
    if age > within.seconds:
        return NotApplicable(
            "NoRolloutBefore",
            f"the newest rollout of {name} was {format_duration(age)} before the risk began, and the policy blames one "
            f"of the last {within}",
        )
    return None


async def _hold(cluster: Reader, remediation: Remediation, body: Mapping[str, Any]) -> Hold | None:
    """Return why the workload must not be rolled back now, although that was decided."""
    intent, name = remediation.spec.intent, title(remediation.spec.intent.target)
    all_revisions = await revisions(cluster, body)
    if not all_revisions or all_revisions[0].number != intent.from_ or not is_current(all_revisions[0], body):
        return Hold("Superseded", f"another revision of {name} was rolled out since this was decided; it is left alone")
    if all(revision.number != intent.to for revision in all_revisions):
        return Hold("NoRevisions", f"revision {intent.to} of {name} is not kept any more")
    return field_owned(body, intent.target, _TEMPLATE) or obstacle(body, intent.target)
