"""What is gone from the Guardrails' budgets, written down before anything is done.

Remediations tell as well what was done, as long as they are there. But history is deleted: when it is old, by people,
or with its namespace. A budget must not grow by that, so what is spent is kept in the Guardrail itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import structlog

from forestall.api import Guardrail, Remediation
from forestall.api.guardrail import Spent
from forestall.api.times import seconds, stamp
from forestall.core.guards import RecordedUsage, TokenBucket
from forestall.core.guards.budget import remaining_usage, tokens_left
from forestall.engine import policy_limits
from forestall.engine.status_publisher import StatusPublisher
from forestall.errors import ClusterError

MOST: Final = 5000
"""For how many budgets a Guardrail keeps what is gone: those of which most is."""
_NOTABLE: Final = 0.01
"""Of an action; what differs by less is the same, reckoned at another time."""

_log = structlog.get_logger()

Debts = dict[tuple[str, str], RecordedUsage]
"""By UID of the Guardrail and namespace; the cluster's have none."""


class BudgetUsage:
    """Keeps what is spent in the statuses of the Guardrails."""

    def __init__(self, publisher: StatusPublisher) -> None:
        self._publisher = publisher
        self._paid: set[tuple[str, str]] = set()  # what was paid for, by namespace and name, and is not known to exist
        self._folded: dict[tuple[str, int], frozenset[tuple[str, str]]] = {}
        # by UID and generation of a Guardrail: which Remediations are counted in what it has written down
        self.debts: Debts = {}
        """What is known to be gone, by UID of the Guardrail and namespace."""

    async def begin(self, guardrails: Sequence[Guardrail], history: Sequence[Remediation], now: float) -> None:
        """Read what is written down, and write down what only Remediations tell, from before it was kept."""
        self._paid -= {(remediation.namespace, remediation.name) for remediation in history}
        self.debts = {
            (guardrail.uid, spent.namespace): RecordedUsage(spent.used, seconds(spent.at) or now)
            for guardrail in guardrails
            for spent in self._publisher.spent(guardrail)
        }
        names = frozenset((remediation.namespace, remediation.name) for remediation in history)
        for guardrail in guardrails:
            key = (guardrail.uid, guardrail.metadata.generation)
            if names <= self._folded.get(key, frozenset()) and key in self._folded:
                continue
            try:
                await self._fold(guardrail, history, now)
            except ClusterError as error:
                _log.warning("what is spent is not written down", guardrail=guardrail.name, error=str(error))
            else:
                self._folded[key] = names

    async def _fold(self, guardrail: Guardrail, history: Sequence[Remediation], now: float) -> None:
        """Write down what only Remediations tell."""
        missing: Debts = {}
        namespaces = {remediation.namespace for remediation in history if not policy_limits.only_notifies(remediation)}
        for key, bucket in self._buckets(guardrail, namespaces, history):
            used = bucket.size - tokens_left(bucket, now)
            if (
                used
                > (remaining_usage(bucket.recorded_usage, bucket, now) if bucket.recorded_usage else 0.0) + _NOTABLE
            ):
                missing[key] = RecordedUsage(used, now)
        if missing:
            await self._write(guardrail, missing, now)

    def refund(self, guardrails: Iterable[Guardrail], draft: Remediation) -> None:
        """Take back what was paid for this very Remediation before, which then did not come about as far as is known.

        Whatever is found later of that attempt has the same name, and so is paid for once.
        """
        if (draft.namespace, draft.name) not in self._paid:
            return
        self._paid.discard((draft.namespace, draft.name))
        for guardrail in guardrails:
            for key in ((guardrail.uid, ""), (guardrail.uid, draft.namespace)):
                if (debt := self.debts.get(key)) is not None:
                    self.debts[key] = RecordedUsage(max(0.0, debt.used - 1.0), debt.at)

    async def pay(
        self, guardrails: Sequence[Guardrail], history: Sequence[Remediation], draft: Remediation, now: float
    ) -> None:
        """Write one action down as spent, before it is opened.

        Raises:
            ClusterError: it is not known to be written.
        """
        if policy_limits.only_notifies(draft):
            return
        self._paid.add((draft.namespace, draft.name))
        for guardrail in guardrails:
            spent = {
                key: RecordedUsage(bucket.size - tokens_left(bucket, now) + 1.0, now)
                for key, bucket in self._buckets(guardrail, {draft.namespace}, history)
            }
            if spent:
                await self._write(guardrail, spent, now)

    async def _write(self, guardrail: Guardrail, new: Debts, now: float) -> None:
        debts = {key: debt for key, debt in self.debts.items() if key[0] == guardrail.uid} | new
        entries = [
            (remaining_usage(debt, bucket, now), key[1], debt)
            for key, debt in debts.items()
            if (bucket := _bare(guardrail, key[1])) is not None
        ]
        # The cluster's own comes first, and what is refilled is dropped.
        owing = (entry for entry in entries if entry[0] > 0)
        stored = sorted(owing, key=lambda entry: (entry[1] != "", -entry[0]))[:MOST]
        spent = [Spent(namespace=name, used=round(debt.used, 6), at=stamp(debt.at)) for _, name, debt in stored]
        self.debts.update(new)  # also where it is not known whether it was written: it is rather counted than not
        await self._publisher.spend(guardrail, spent, now)

    def _buckets(
        self, guardrail: Guardrail, namespaces: Iterable[str], history: Sequence[Remediation]
    ) -> Iterator[tuple[tuple[str, str], TokenBucket]]:
        """Yield the cluster's budget and those of the namespaces, where the Guardrail has them."""
        by_namespace: dict[str, list[Remediation]] = defaultdict(list)
        for remediation in history:
            by_namespace[remediation.namespace].append(remediation)
        for namespace in ["", *sorted(namespaces)]:
            if _bare(guardrail, namespace) is not None:
                counted = by_namespace[namespace] if namespace else history
                buckets = policy_limits.buckets([_only(guardrail, namespace)], counted, namespace, self.debts)
                yield (guardrail.uid, namespace), buckets[0]


def _bare(guardrail: Guardrail, namespace: str) -> TokenBucket | None:
    budget = guardrail.spec.namespace_budget if namespace else guardrail.spec.budget
    return None if budget is None else TokenBucket("", budget.actions, budget.per.seconds, ())


def _only(guardrail: Guardrail, namespace: str) -> Guardrail:
    """Return the Guardrail with the cluster's budget alone, or a namespace's."""
    other = "budget" if namespace else "namespace_budget"
    return guardrail.model_copy(update={"spec": guardrail.spec.model_copy(update={other: None})})
