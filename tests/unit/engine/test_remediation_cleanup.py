"""Expired Remediations are deleted once an hour, and removed from the registry."""

from types import SimpleNamespace
from typing import Any

import pytest

from forestall.engine import remediation_cleanup
from forestall.engine.remediation_cleanup import EVERY, RemediationCleanup
from forestall.remediation import RetentionNeeds


@pytest.fixture
def runs(monkeypatch):
    """The arguments of each run: remediations, retention needs and time; all remediations are deleted."""
    runs: list[tuple[Any, ...]] = []

    async def delete_expired(cluster: Any, remediations: Any, needs: Any, now: float) -> Any:
        runs.append((cluster, remediations, needs, now))
        return remediations

    monkeypatch.setattr(remediation_cleanup, "delete_expired", delete_expired)
    return runs


class Registry:
    def __init__(self, policies: Any) -> None:
        self.policies = policies
        self.removed: list[tuple[str, str]] = []

    def all(self, _: Any) -> Any:
        return self.policies

    def remove(self, kind: str, uid: str) -> None:
        self.removed.append((kind, uid))


async def test_deleted_remediations_are_removed_from_the_registry(runs, make_remediation, make_policy, make_guardrail):
    registry: Any = Registry([make_policy(cooldown="2h")])
    remediation, guardrails = make_remediation("Succeeded"), [make_guardrail(budget={"actions": 3, "per": "1d"})]
    snapshot: Any = SimpleNamespace(objectives={"o-1": None}, guardrails=guardrails, remediations=[remediation])
    cluster: Any = object()
    await RemediationCleanup(cluster, registry).run(snapshot, 100.0)
    needs = RetentionNeeds.of(snapshot.objectives.keys(), registry.policies, guardrails)
    assert runs == [(cluster, [remediation], needs, 100.0)]
    assert needs.cooldown == 7200.0
    assert registry.removed == [("Remediation", remediation.uid)]


@pytest.mark.parametrize(("later", "again"), [(0.0, False), (EVERY - 1, False), (EVERY, True), (-1.0, True)])
async def test_cleanup_runs_once_an_hour_and_after_the_clock_was_set_back(runs, later, again):
    snapshot: Any = SimpleNamespace(objectives={}, guardrails=[], remediations=[])
    registry: Any = Registry([])
    cluster: Any = object()
    cleanup = RemediationCleanup(cluster, registry)
    assert EVERY == 3600.0
    await cleanup.run(snapshot, 1000.0)
    await cleanup.run(snapshot, 1000.0 + later)
    assert len(runs) == (2 if again else 1)
