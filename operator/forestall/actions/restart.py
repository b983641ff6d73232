"""Restart a workload by a rolling update, once.

The pod template's annotation carries the UID of the Remediation: doing it again changes nothing, and so makes no second
rollout. A restart can't be undone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from forestall.actions.base import Change, Next, ObservedState, TimedOutlook, WorkloadAction, find_target, title
from forestall.actions.rights import may_patch
from forestall.actions.rollout import KINDS, complete, obstacle, stuck
from forestall.actions.unfinished import find_unfinished
from forestall.actions.verdict import await_verdict
from forestall.api.remediation import ObjectRef, Remediation
from forestall.core.decision import Hold
from forestall.core.traits import ActionTraits
from forestall.core.untrusted import get_path, string
from forestall.ports import Reader, Right, Writer

RESTARTED_BY: Final = "forestall.dev/restarted-by"


class Restart(WorkloadAction):
    """The action `restart`."""

    traits: ClassVar[ActionTraits] = ActionTraits(
        name="Restart",
        scope="workload",
        changes_cluster=True,
        disruption="workload",
        changes_replicas=False,
        cause_label="",
        verification="new pods",
        lowers_risk=True,
        spent_for="target",
        kept_while_at_risk=False,
        undo="none: a restart can't be undone",
        allowed_by_default=True,
        chart_value="",
    )

    def rights(self, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
        """Return the right to patch the workload."""
        del subject
        return (may_patch(target),)

    async def observe(self, cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
        """Return whether the workload was restarted by this remediation, and how far the rollout is."""
        target = remediation.spec.intent.target
        if target.kind not in KINDS:
            return Hold("NotRestartable", f"{title(target)} is none of {', '.join(KINDS)}: it can't be restarted")
        body = await find_target(cluster, target)
        if isinstance(body, Hold):
            return body
        is_done = _restarted_by(body) == remediation.signature
        hold = None if is_done else obstacle(body, target)
        return hold or ObservedState(
            level=int(is_done),
            subject=target,
            resource_version=body["metadata"]["resourceVersion"],
            settled=is_done and complete(body),
            failed=stuck(body) if is_done else None,
            unfinished=await find_unfinished(cluster, target, body) if is_done else None,
        )

    def first_change(self, remediation: Remediation, observed: ObservedState) -> Change | Hold:
        """Return the restart."""
        return Change(1, f"restart {title(observed.subject)}", remediation.spec.intent.evidence.reason, increases=True)

    def next_change(
        self, remediation: Remediation, observed: ObservedState, recent: Sequence[TimedOutlook], now: float
    ) -> Next:
        """Wait for the verdict of the verification."""
        del recent
        return await_verdict(remediation, f"{title(observed.subject)} was restarted", now)

    async def write(self, cluster: Writer, remediation: Remediation, observed: ObservedState, to: int) -> None:
        """Mark the pod template, which makes its controller replace the pods."""
        del to
        annotations = {"annotations": {RESTARTED_BY: remediation.signature}}
        await cluster.patch(
            observed.subject, {"spec": {"template": {"metadata": annotations}}}, observed.resource_version
        )


def _restarted_by(body: Mapping[str, Any]) -> str | None:
    return string(get_path(body, "spec", "template", "metadata", "annotations", RESTARTED_BY)) or None
