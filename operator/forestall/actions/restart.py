"""Restart a workload by a rolling update, once.

The pod template's annotation carries the UID of the Remediation: doing it again changes nothing, and so makes no second
rollout. A restart can't be undone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from forestall.actions.base import Moment, Move, Next, OfWorkload, World, find_target, title
from forestall.actions.rollout import KINDS, complete, obstacle, stuck
from forestall.actions.verdict import await_verdict
from forestall.api.remediation import Remediation
from forestall.core.decision import Hold
from forestall.core.foreign import at, text
from forestall.ports import Reader, Writer

RESTARTED_BY: Final = "forestall.dev/restarted-by"


class Restart(OfWorkload):
    """The action `restart`."""

    name: ClassVar[str] = "Restart"
    undo: ClassVar[str] = "none: a restart can't be undone"
    free: ClassVar[bool] = True
    kept_while_at_risk: ClassVar[bool] = False

    async def look(self, cluster: Reader, remediation: Remediation) -> World | Hold:
        """Return whether the workload was restarted by this remediation, and how far the rollout is."""
        target = remediation.spec.intent.target
        if target.kind not in KINDS:
            return Hold("NotRestartable", f"{title(target)} is none of {', '.join(KINDS)}: it can't be restarted")
        body = await find_target(cluster, target)
        if isinstance(body, Hold):
            return body
        done = _restarted_by(body) == remediation.signature
        held = None if done else obstacle(body, target)
        return held or World(
            level=int(done),
            subject=target,
            resource_version=body["metadata"]["resourceVersion"],
            settled=done and complete(body),
            failed=stuck(body) if done else None,
        )

    def begin(self, remediation: Remediation, world: World) -> Move | Hold:
        """Return the restart."""
        return Move(1, f"restart {title(world.subject)}", remediation.spec.intent.evidence.reason, raises=True)

    def carry_on(self, remediation: Remediation, world: World, recent: Sequence[Moment], now: float) -> Next:
        """Wait for the verdict of the verification."""
        del recent
        return await_verdict(remediation, f"{title(world.subject)} was restarted", now)

    async def write(self, cluster: Writer, remediation: Remediation, world: World, to: int) -> None:
        """Mark the pod template, which makes its controller replace the pods."""
        del to
        annotations = {"annotations": {RESTARTED_BY: remediation.signature}}
        await cluster.patch(world.subject, {"spec": {"template": {"metadata": annotations}}}, world.resource_version)


def _restarted_by(body: Mapping[str, Any]) -> str | None:
    return text(at(body, "spec", "template", "metadata", "annotations", RESTARTED_BY)) or None
