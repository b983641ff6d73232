"""Garbage collection of ended remediations: which are older than their TTL, or too many, and needed by nothing."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from forestall.actions import traits_of
from forestall.api import Guardrail, RemediationPolicy
from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.times import seconds
from forestall.core.guards.cooldown import MIN_REPEAT_COOLDOWN
from forestall.errors import ClusterError, NotFound
from forestall.ports import Writer

TTL: Final = 30 * 86400.0
"""After how many seconds an ended remediation is deleted."""
HISTORY_LIMIT: Final = 20
"""How many ended remediations of one objective are kept at the most."""


@dataclass(frozen=True, slots=True)
class RetentionNeeds:
    """What is promised and rests on history."""

    objectives: Collection[str]
    """The objectives that there are, by UID."""
    policies: Collection[str]
    """The policies that there are, by UID."""
    cooldown: float = 0.0
    """The longest cooldown (s) of any of them."""
    budgets: float = 0.0
    """The longest time (s) in which any budget is refilled."""

    @classmethod
    def of(
        cls, objectives: Collection[str], policies: Sequence[RemediationPolicy], guardrails: Iterable[Guardrail]
    ) -> "RetentionNeeds":
        """Return what these objects promise."""
        specs = [guardrail.spec for guardrail in guardrails]
        budgets = [budget for spec in specs for budget in (spec.budget, spec.namespace_budget) if budget]
        return cls(
            objectives=objectives,
            policies={policy.uid for policy in policies},
            cooldown=max([MIN_REPEAT_COOLDOWN, *(policy.spec.cooldown.seconds for policy in policies)]),
            budgets=max((budget.per.seconds for budget in budgets), default=0.0),
        )


def expired(
    remediations: Iterable[Remediation], needs: RetentionNeeds, now: float, *, ttl: float, limit: int
) -> list[Remediation]:
    """Return the ended remediations that can go: older than `ttl` s, or beyond the `limit` newest of an objective.

    What a promise still rests on stays:

    - those of the newest episode of an objective that still exists: their names keep the same thing from being done
      twice, and tell which rungs were tried;
    - those that a budget counts, or a cooldown;
    - the last of each policy for each objective: it may lock the policy.
    """
    grouped: dict[str, list[Remediation]] = defaultdict(list)
    for remediation in remediations:
        grouped[remediation.spec.intent.objective.uid].append(remediation)
    result = []
    for group in grouped.values():
        needed = {_key(remediation) for remediation in still_needed(group, needs, now)}
        ended = sorted((remediation for remediation in group if remediation.ended), key=_ended_at, reverse=True)
        result += [
            remediation
            for rank, remediation in enumerate(ended)
            if _key(remediation) not in needed
            and (rank >= limit or _ended_at(remediation) <= now - ttl)
            and _created_at(remediation) <= now - needs.budgets
        ]
    return result


def still_needed(group: Collection[Remediation], needs: RetentionNeeds, now: float) -> list[Remediation]:
    """Return those of one objective's ended remediations on which anything but a budget rests, the most needed first:
    the last of each policy, those of the newest episode, those that a cooldown counts.
    """
    newest = max((remediation.spec.intent.episode for remediation in group), default=None)
    last = _last(group)

    def need(remediation: Remediation) -> int:
        intent = remediation.spec.intent
        watched = intent.objective.uid in needs.objectives
        if watched and intent.policy.uid in needs.policies and _key(remediation) in last:
            return 3
        if watched and intent.episode == newest:
            return 2
        return int(_ended_at(remediation) > now - needs.cooldown)

    ranked = [(need(remediation), _ended_at(remediation), remediation) for remediation in group if remediation.ended]
    return [remediation for rank, _, remediation in sorted(ranked, key=lambda entry: entry[:2], reverse=True) if rank]


async def delete_expired(
    cluster: Writer, remediations: Sequence[Remediation], needs: RetentionNeeds, now: float
) -> list[Remediation]:
    """Delete what is expired, as it was seen; return what is gone. What can't be deleted stays for the next time."""
    deleted = []
    for remediation in expired(remediations, needs, now, ttl=TTL, limit=HISTORY_LIMIT):
        try:
            await cluster.delete(ObjectRef.to(remediation), remediation.metadata.resource_version)
        except NotFound:
            pass
        except ClusterError:
            continue
        deleted.append(remediation)
    return deleted


def _last(remediations: Iterable[Remediation]) -> frozenset[tuple[str, str]]:
    """Return namespace and name of the last of each policy for each objective; what only told people is none."""
    last: dict[tuple[str, str], Remediation] = {}
    for remediation in sorted(remediations, key=_ended_at):
        intent = remediation.spec.intent
        if remediation.ended and traits_of(intent.action).changes_cluster:
            last[intent.policy.uid, intent.objective.uid] = remediation
    return frozenset(map(_key, last.values()))


def _key(remediation: Remediation) -> tuple[str, str]:
    return remediation.namespace, remediation.name


def _ended_at(remediation: Remediation) -> float:
    return seconds(remediation.status.ended) or 0.0


def _created_at(remediation: Remediation) -> float:
    """Return when it was decided; one whose time can't be read counts in every budget."""
    at = seconds(remediation.spec.intent.created)
    return math.inf if at is None else at
