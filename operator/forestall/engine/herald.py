"""Tells people what needs them: an approval that is wanted, a ladder that is exhausted, a policy that is locked.

That they were told is written down in the Remediation that it is about, after it was sent. So after a crash they may be
told again, by the same id, but never not at all.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from forestall.actions import verified
from forestall.actions.notices import notice_of
from forestall.api import Guardrail, Remediation, RemediationPolicy
from forestall.api.meta import Condition, condition
from forestall.api.times import stamp
from forestall.engine import terms
from forestall.engine.outbox import SENDING
from forestall.engine.report import Findings, named
from forestall.engine.together import together
from forestall.errors import ClusterError, NotSent
from forestall.isolation import Isolation
from forestall.ports import Notice, Notifier
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler

MOST: Final = 20
"""How many notices are begun, or asked about, in one cycle at the most: what is over comes in the next ones."""
_STUCK: Final = ("LadderExhausted", "Locked")

_log = structlog.get_logger()


class Herald:
    """Sends each piece of news once to each channel that asks for it, as far as it can know."""

    def __init__(
        self,
        notifier: Notifier,
        reconciler: RemediationReconciler,
        registry: Registry,
        isolation: Isolation | None = None,
    ) -> None:
        self._notifier = notifier
        self._reconciler = reconciler
        self._registry = registry
        self._isolation = isolation or Isolation()
        self._tries: Counter[tuple[str, str]] = Counter()  # by UID and topic, of what was not told yet
        self._sent: set[tuple[str, str]] = set()  # id and channel, of what is not written down as told yet

    async def tell(self, found: Iterable[Findings], now: float) -> None:
        """Tell what is news in this cycle; what can't be sent is tried again in the next."""
        due = []
        for one, topic in self._topics(found):
            with self._isolation.around("notifying", named(one)):
                channels = self._channels(one, topic)
                if channels and condition(one.status.conditions, _told(topic)) is None:
                    due.append((one, topic, channels))
        # What could not be sent so far lets the others go first.
        due.sort(key=lambda news: self._tries[news[0].uid, news[1]])
        self._tries = Counter({(one.uid, topic): self._tries[one.uid, topic] for one, topic, _ in due})
        self._tries.update((one.uid, topic) for one, topic, _ in due[:MOST])
        ids = {f"{one.signature}.{topic}" for one, topic, _ in due}
        self._sent = {key for key in self._sent if key[0] in ids}
        await together(self._tell_safely(one, topic, channels, now) for one, topic, channels in due[:MOST])

    def _topics(self, found: Iterable[Findings]) -> list[tuple[Remediation, str]]:
        """Return what there is to tell, and about which Remediation."""
        known = [one for one in self._registry.all(Remediation) if not terms.tells(one)]
        topics = [
            (one, "ApprovalRequired")
            for one in known
            if one.status.phase == "AwaitingApproval" and one.spec.approval is None
        ]
        stuck = [
            (each.slo.uid, decision.policy, decision.reason)
            for each in found
            for decision in each.decisions
            if decision.verdict == "Hold" and decision.reason in _STUCK
        ]
        if stuck:
            last = _last_in_vain(known)
            topics += [(last[uid, policy], reason) for uid, policy, reason in stuck if (uid, policy) in last]
        return topics

    def _channels(self, one: Remediation, topic: str) -> Sequence[str]:
        """Return who asks for this topic: the policy and the Guardrails."""
        policy = self._registry.by_uid(RemediationPolicy, one.spec.intent.policy.uid)
        subscriptions = [each for guardrail in self._registry.all(Guardrail) for each in guardrail.spec.notify]
        subscriptions += policy.spec.notify if policy is not None else []
        return tuple(dict.fromkeys(each.channel for each in subscriptions if topic in each.topics))

    async def _tell_safely(self, one: Remediation, topic: str, channels: Sequence[str], now: float) -> None:
        with self._isolation.around("notifying", named(one)):
            await self._spread(one, notice_of(one, topic, now), channels, now)

    async def _spread(self, one: Remediation, notice: Notice, channels: Sequence[str], now: float) -> None:
        """Send to every channel that has not got it, and write down when all have."""
        left = [each for each in channels if (notice.id, each) not in self._sent]
        done = await together(self._send(each, notice) for each in left)
        if not all(done):
            return
        told = Condition(
            type=_told(notice.topic),
            status="True",
            reason="Delivered",
            message=f"told by {', '.join(channels)}",
            last_transition_time=stamp(now),
        )
        try:
            after = await self._reconciler.set_condition(one, told)
        except ClusterError as error:
            _log.warning("that people were told is not written down", remediation=one.name, error=str(error))
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


def _told(topic: str) -> str:
    return f"Notified{topic}"


def _last_in_vain(known: Iterable[Remediation]) -> Mapping[tuple[str, str], Remediation]:
    """Return the last Remediation that did not help, by objective (UID) and policy (name)."""
    last = {}
    for one in sorted(known, key=lambda one: one.spec.intent.created):
        if one.status.phase in ("RolledBack", "Failed") or verified(one) is False:
            last[one.spec.intent.objective.uid, one.spec.intent.policy.name] = one
    return last
