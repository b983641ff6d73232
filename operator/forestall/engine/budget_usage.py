"""Records how much of the Guardrails' action budgets is spent, before an action begins.

Remediations show what was spent as long as they exist. But they are deleted: by retention, by people, or with their
namespace. A budget must not grow by that, so the spending is stored in the Guardrail's status.
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
"""For how many budgets a Guardrail's status keeps the spending: those with the most."""
_NOTABLE: Final = 0.01
"""The share of an action below which two amounts count as equal: they were computed at different times."""

_log = structlog.get_logger()

Debts = dict[tuple[str, str], RecordedUsage]
"""Spent actions by Guardrail (UID) and namespace; budgets of the whole cluster have no namespace."""


class BudgetUsage:
    """Stores the spent part of budgets in the statuses of the Guardrails."""

    def __init__(self, publisher: StatusPublisher) -> None:
        self._publisher = publisher
        self._paid: set[tuple[str, str]] = set()  # what was paid for, by namespace and name, and is not known to exist
        self._folded: dict[tuple[str, int], frozenset[tuple[str, str]]] = {}
        # by UID and generation of a Guardrail: which Remediations are counted in what it has written down
        self.debts: Debts = {}
        """The spent actions known so far, by Guardrail (UID) and namespace."""

    async def begin(self, guardrails: Sequence[Guardrail], history: Sequence[Remediation], now: float) -> None:
        """Read the statuses, and add to them the spending that only Remediations show."""
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
        """Add to the statuses the spending that only Remediations show."""
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
        """Refund an earlier payment for this Remediation, which was not created as far as is known.

        If that attempt did create it after all, it has the same name, and so is paid for once.
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
        """Record one action as spent, before its Remediation is created.

        Raises:
            ClusterError: the write failed, or its result is unknown.
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
        await self._publisher.write_budget_usage(guardrail, spent, now)

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
    """Return the Guardrail reduced to the budget of the cluster, or of one namespace."""
    other = "budget" if namespace else "namespace_budget"
    return guardrail.model_copy(update={"spec": guardrail.spec.model_copy(update={other: None})})
