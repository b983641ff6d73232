"""Tell people. It changes nothing, so nothing is undone, and nothing else has to wait for it.

Whether it was sent is only known from what is written down: a step that is not known to be done is made again. So
people may be told twice, and the notice's id is the Remediation's UID both times.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from forestall.actions.base import Change, Next, NotApplicable, ObservedState, Outcome, TargetRequest, TimedOutlook
from forestall.actions.notices import notice_of
from forestall.api import NotificationChannel
from forestall.api.meta import API_VERSION
from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.remediation_policy import NotifyAction
from forestall.api.times import seconds
from forestall.core.decision import Hold
from forestall.core.traits import ActionTraits
from forestall.errors import NotFound, NotSent
from forestall.ports import Cluster, Notice, Notifier, Reader, Right


class NoChannels:
    """A `Notifier` where there are no channels, as in a replay."""

    async def send(self, channel: str, notice: Notice) -> None:
        """Refuse."""
        raise NotSent("ChannelMissing", f"there is no channel {channel} to send {notice.id} by")


class Notify:
    """The action `notify`."""

    traits: ClassVar[ActionTraits] = ActionTraits(
        name="Notify",
        scope="workload",
        changes_cluster=False,
        disruption="none",
        changes_replicas=False,
        cause_label="",
        verification="none",
        lowers_risk=True,
        spent_for="objective",
        kept_while_at_risk=False,
        undo="nothing: it changes nothing",
        allowed_by_default=True,
        chart_value="",
    )

    def __init__(
        self, notifier: Notifier | None = None, was_sent: Callable[[str, str], bool] = lambda _, __: False
    ) -> None:
        """`was_sent` says whether a notice, by its channel and id, is known to be delivered since it was sent."""
        self._notifier = notifier or NoChannels()
        self._was_sent = was_sent

    def rights(self, target: ObjectRef, subject: ObjectRef | None = None) -> tuple[Right, ...]:
        """Return none."""
        del target, subject
        return ()

    async def resolve_target(self, cluster: Reader, request: TargetRequest) -> ObjectRef | Hold:
        """Return the workload that people are told of, if there is such a channel."""
        if request.rung.notify is None:
            raise ValueError("the rung is no notification")
        name = request.rung.notify.channel
        try:
            await cluster.read(ObjectRef(api_version=API_VERSION, kind=NotificationChannel.KIND, name=name))
        except NotFound:
            return NotApplicable(
                "ChannelMissing", f"NotificationChannel {name!r} does not exist: ask a cluster admin for it"
            )
        return request.workload

    async def observe(self, cluster: Reader, remediation: Remediation) -> ObservedState | Hold:
        """Return whether it is known to be sent."""
        del cluster
        steps, channel = remediation.status.steps, _action_of(remediation).channel
        sent = any(step.done for step in steps) or (bool(steps) and self._was_sent(channel, remediation.signature))
        return ObservedState(level=int(sent), subject=remediation.spec.intent.target, resource_version="")

    def first_change(self, remediation: Remediation, observed: ObservedState) -> Change | Hold:
        """Return the sending."""
        del observed
        return Change(
            1, f"tell {_action_of(remediation).channel}", remediation.spec.intent.evidence.reason, increases=True
        )

    def next_change(
        self, remediation: Remediation, observed: ObservedState, recent: Sequence[TimedOutlook], now: float
    ) -> Next:
        """End: whether it helps is up to people."""
        del observed, recent, now
        return Outcome("Succeeded", "Notified", f"{_action_of(remediation).channel} was told; the rest is up to people")

    async def write(self, cluster: Cluster, remediation: Remediation, observed: ObservedState, to: int) -> None:
        """Send it.

        Raises:
            NotSent: it did not go out, or it is not known whether it did.
        """
        del cluster, observed, to
        at = seconds(remediation.spec.intent.created) or 0.0
        action = _action_of(remediation)
        await self._notifier.send(action.channel, notice_of(remediation, "Notify", at, action.message))


def _action_of(remediation: Remediation) -> NotifyAction:
    notify = remediation.spec.intent.action.notify
    if notify is None:
        raise ValueError(f"Remediation {remediation.name} is no notification")
    return notify
