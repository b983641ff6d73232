"""Notifies people of what needs them: a requested approval, an exhausted ladder, a locked policy.

A delivery is recorded in a condition of the Remediation after it was sent. So after a crash a notification may be sent
again, with the same id, but none is lost.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from forestall.actions import has_helped
from forestall.actions.notices import notice_of
from forestall.api import Guardrail, Remediation, RemediationPolicy
from forestall.api.meta import Condition, condition
from forestall.api.times import stamp
from forestall.engine import policy_limits
from forestall.engine.concurrency import gather_all
from forestall.engine.delivery_tracker import SENDING
from forestall.engine.objective_status import Findings, named
from forestall.errors import ClusterError, NotSent
from forestall.isolation import ErrorIsolation
from forestall.ports import Notice, Notifier
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler

MOST: Final = 20
"""How many notifications are sent, or checked, in one cycle at the most; the others follow in the next cycles."""
_STUCK: Final = ("LadderExhausted", "Locked")

_log = structlog.get_logger()


class NotificationDispatcher:
    """Sends each notification once to each subscribed channel; twice where a crash lost the record."""

    def __init__(
        self,
        notifier: Notifier,
        reconciler: RemediationReconciler,
        registry: Registry,
        isolation: ErrorIsolation | None = None,
    ) -> None:
        self._notifier = notifier
        self._reconciler = reconciler
        self._registry = registry
        self._isolation = isolation or ErrorIsolation()
        self._tries: Counter[tuple[str, str]] = Counter()  # by UID and topic, of what was not told yet
        self._sent: set[tuple[str, str]] = set()  # id and channel, of what is not written down as told yet

    async def dispatch(self, findings_of_cycle: Iterable[Findings], now: float) -> None:
        """Send the notifications that are due in this cycle; one that fails is tried again in the next."""
        due = []
        for remediation, topic in self._topics(findings_of_cycle):
            with self._isolation.attempt("notifying", named(remediation)):
                channels = self._channels(remediation, topic)
                if channels and condition(remediation.status.conditions, _condition_type(topic)) is None:
                    due.append((remediation, topic, channels))
        # What could not be sent so far lets the others go first.
        due.sort(key=lambda entry: self._tries[entry[0].uid, entry[1]])
        self._tries = Counter(
            {(remediation.uid, topic): self._tries[remediation.uid, topic] for remediation, topic, _ in due}
        )
        self._tries.update((remediation.uid, topic) for remediation, topic, _ in due[:MOST])
        ids = {f"{remediation.signature}.{topic}" for remediation, topic, _ in due}
        self._sent = {key for key in self._sent if key[0] in ids}
        await gather_all(
            self._dispatch_safely(remediation, topic, channels, now) for remediation, topic, channels in due[:MOST]
        )

    def _topics(self, findings_of_cycle: Iterable[Findings]) -> list[tuple[Remediation, str]]:
        """Return the due topics, each with its Remediation."""
        remediations = [
            remediation
            for remediation in self._registry.all(Remediation)
            if not policy_limits.only_notifies(remediation)
        ]
        topics = [
            (remediation, "ApprovalRequired")
            for remediation in remediations
            if remediation.status.phase == "AwaitingApproval" and remediation.spec.approval is None
        ]
        stuck = [
            (findings.slo.uid, decision.policy, decision.reason)
            for findings in findings_of_cycle
            for decision in findings.decisions
            if decision.verdict == "Hold" and decision.reason in _STUCK
        ]
        if stuck:
            last = _last_in_vain(remediations)
            topics += [(last[uid, policy], reason) for uid, policy, reason in stuck if (uid, policy) in last]
        return topics

    def _channels(self, remediation: Remediation, topic: str) -> Sequence[str]:
        """Return the channels that the policy and the Guardrails subscribe to this topic."""
        policy = self._registry.by_uid(RemediationPolicy, remediation.spec.intent.policy.uid)
        subscriptions = [
            subscription for guardrail in self._registry.all(Guardrail) for subscription in guardrail.spec.notify
        ]
        subscriptions += policy.spec.notify if policy is not None else []
        return tuple(
            dict.fromkeys(subscription.channel for subscription in subscriptions if topic in subscription.topics)
        )

    async def _dispatch_safely(self, remediation: Remediation, topic: str, channels: Sequence[str], now: float) -> None:
        with self._isolation.attempt("notifying", named(remediation)):
            await self._send_to_channels(remediation, notice_of(remediation, topic, now), channels, now)

    async def _send_to_channels(
        self, remediation: Remediation, notice: Notice, channels: Sequence[str], now: float
    ) -> None:
        """Send to every channel that has not received it, and record when all have."""
        left = [channel for channel in channels if (notice.id, channel) not in self._sent]
        results = await gather_all(self._send(channel, notice) for channel in left)
        if not all(results):
            return
        notified = Condition(
            type=_condition_type(notice.topic),
            status="True",
            reason="Delivered",
            message=f"told by {', '.join(channels)}",
            last_transition_time=stamp(now),
        )
        try:
            after = await self._reconciler.set_condition(remediation, notified)
        except ClusterError as error:
            _log.warning("that people were told is not written down", remediation=remediation.name, error=str(error))
            return
        self._registry.put(Remediation.KIND, after.dump())

    async def _send(self, channel: str, notice: Notice) -> bool:
        try:
            await self._notifier.send(channel, notice)
        except NotSent as error:
            if error.reason != SENDING:
                _log.warning("not sent", channel=channel, topic=notice.topic, reason=error.reason, error=str(error))
            return False
        self._sent.add((notice.id, channel))
        return True


def _condition_type(topic: str) -> str:
    return f"Notified{topic}"


def _last_in_vain(remediations: Iterable[Remediation]) -> Mapping[tuple[str, str], Remediation]:
    """Return the newest Remediation that did not help, by objective (UID) and policy (name)."""
    last = {}
    for remediation in sorted(remediations, key=lambda remediation: remediation.spec.intent.created):
        if remediation.status.phase in ("RolledBack", "Failed") or has_helped(remediation) is False:
            last[remediation.spec.intent.objective.uid, remediation.spec.intent.policy.name] = remediation
    return last
