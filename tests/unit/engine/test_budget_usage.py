"""Kind: a promise that rests on records which something else deletes.

26 actions a day were allowed, and 32 were done: the history that they are counted from is shortened.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from tests.support.memory_cluster import MemoryCluster, Request

from forestall.actions.notify import NoChannels
from forestall.api import Guardrail, Remediation
from forestall.api.times import stamp
from forestall.core.guards import TokenBucket
from forestall.core.guards.budget import tokens_left
from forestall.engine import policy_limits
from forestall.engine.budget_usage import BudgetUsage
from forestall.engine.delivery_tracker import DeliveryTracker
from forestall.engine.settings import Settings
from forestall.engine.status_publisher import StatusPublisher
from forestall.errors import ClusterError, Conflict, Unavailable
from forestall.registry import Registry
from forestall.remediation import RetentionNeeds, expired

START, HOUR, DAY = 1_000_000.0, 3600.0, 86400.0
SPEC: dict[str, Any] = {"budget": {"actions": 5, "per": "1d"}, "namespaceBudget": {"actions": 3, "per": "6h"}}


def remediation(number: int, namespace: str, at: float, objective: str, episode: int) -> Remediation:
    ref = {"apiVersion": "forestall.dev/v1alpha1", "namespace": namespace}
    intent = {
        "policy": {**ref, "kind": "RemediationPolicy", "name": "p", "uid": "p-1"},
        "objective": {**ref, "kind": "ServiceLevelObjective", "name": "o", "uid": objective},
        "episode": episode,
        "target": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": namespace, "name": "d", "uid": "d-1"},
        "action": {"restart": {}},
        "mode": "Auto",
        "evidence": {"indicator": "load"},
        "created": stamp(at),
        "deadline": stamp(at + HOUR),
    }
    status = {"phase": "Succeeded", "ended": stamp(at + 60)}
    metadata = {"name": f"r-{number}", "namespace": namespace, "uid": f"u-{number}"}
    return Remediation.read({"metadata": metadata, "spec": {"intent": intent}, "status": status})


class Store(MemoryCluster):
    """A cluster with one Guardrail; the next write may fail, or be done although its answer is lost."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__()
        self.insert({"kind": Guardrail.KIND, "metadata": {"name": "all", "uid": "g-1"}, "spec": spec, "status": {}})
        self.fate = "done"

    def guardrail(self) -> dict[str, Any]:
        return self.objects[Guardrail.KIND, "", "all"]

    @property
    def version(self) -> str:
        return str(self.guardrail()["metadata"]["resourceVersion"])

    async def _serve(self, request: Request, effect: Callable[[], Any]) -> Any:
        fate, self.fate = self.fate, "done"
        if fate != "done":
            error = Unavailable("connection refused" if fate == "refused" else "connection reset")
            self.fail(request.verb, error, times=1, done=fate == "lost")
        return await super()._serve(request, effect)


class Operator:
    """One process: what it knows is lost with it."""

    def __init__(self, store: Store) -> None:
        self.registry = Registry()
        self.store = store
        self.watch()
        publisher = StatusPublisher(store, self.registry, Settings(), DeliveryTracker(NoChannels()))
        self.usage = BudgetUsage(publisher)

    def watch(self) -> None:
        self.registry.put(Guardrail.KIND, self.store.guardrail())

    @property
    def guardrails(self) -> list[Guardrail]:
        return self.registry.all(Guardrail)

    def left(self, history: list[Remediation], namespace: str, now: float) -> float:
        """Return how many actions are left."""
        buckets = policy_limits.buckets(self.guardrails, history, namespace, self.usage.debts)
        return min(tokens_left(bucket, now) for bucket in buckets)


def true_levels(acts: list[tuple[float, str]], namespace: str | None, size: int, per: float) -> list[float]:
    """Return what was left in a bucket after each act, all that ever were; below zero is too many."""
    times = [at for at, where in acts if namespace in (None, where)]
    return [tokens_left(TokenBucket("", size, per, times[: n + 1]), at) for n, at in enumerate(times)]


class Budgets(RuleBasedStateMachine):
    """Acts, reaping, deletions, lost answers and leader changes in any order never exceed a budget."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.store = Store(SPEC)
        self.remediations: list[Remediation] = []
        self.acts: list[tuple[float, str]] = []
        self.number = 0
        self.operator = Operator(self.store)
        self.cycle()

    def run(self, work: Any) -> Any:
        return asyncio.run(work)

    @rule()
    def cycle(self) -> None:
        self.run(self.operator.usage.begin(self.operator.guardrails, self.remediations, self.now))

    @rule(seconds=st.sampled_from([1.0, 60.0, HOUR, 7 * HOUR, 2 * DAY]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        namespace=st.sampled_from(["a", "b"]),
        fate=st.sampled_from(["done"] * 6 + ["refused", "lost"]),
        tries=st.integers(1, 4),
    )
    def act(self, namespace: str, fate: str, tries: int) -> None:
        for _ in range(tries):
            self.number += 1
            draft = remediation(self.number, namespace, self.now, f"o-{namespace}", self.number)
            self._open(draft, fate)
            fate = "done"

    @rule(namespace=st.sampled_from(["a", "b"]))
    def act_at_the_second_attempt(self, namespace: str) -> None:
        self.number += 1
        draft = remediation(self.number, namespace, self.now, f"o-{namespace}", self.number)
        self._open(draft, "done", created=False)
        self.cycle()
        self._open(draft, "done")

    def _open(self, draft: Remediation, fate: str, *, created: bool = True) -> None:
        usage, guardrails = self.operator.usage, self.operator.guardrails
        usage.refund(guardrails, draft)
        if self.operator.left(self.remediations, draft.namespace, self.now) < 1.0:
            return
        self.store.fate = fate
        try:
            self.run(usage.pay(guardrails, self.remediations, draft, self.now))
        except ClusterError:
            return
        if created:
            self.remediations.append(draft)
            self.acts.append((self.now, draft.namespace))

    @rule()
    def watch(self) -> None:
        self.operator.watch()

    @rule()
    def lead_anew(self) -> None:
        self.operator = Operator(self.store)
        self.cycle()

    @rule()
    def delete_expired(self) -> None:
        needs = RetentionNeeds({"o-a", "o-b"}, {"p-1"})  # not even what a budget counts is kept
        gone = expired(self.remediations, needs, self.now, ttl=60.0, limit=1)
        self.remediations = [one for one in self.remediations if one not in gone]

    @precondition(lambda self: self.remediations)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.remediations.remove(data.draw(st.sampled_from(self.remediations)))

    @rule(namespace=st.sampled_from(["a", "b"]))
    def recreate_namespace(self, namespace: str) -> None:
        self.remediations = [one for one in self.remediations if one.namespace != namespace]

    def teardown(self) -> None:
        levels = true_levels(self.acts, None, 5, DAY)
        levels += [level for name in "ab" for level in true_levels(self.acts, name, 3, 6 * HOUR)]
        assert min(levels, default=0.0) >= -0.05


Budgets.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestBudgets = Budgets.TestCase


@pytest.fixture
def store():
    return Store(SPEC)


async def test_what_is_spent_counts_when_its_record_is_gone_and_another_leads(store):
    operator, remediations = Operator(store), list[Remediation]()
    for number in range(3):
        draft = remediation(number, "a", START, "o-a", number)
        await operator.usage.begin(operator.guardrails, remediations, START)
        assert operator.left(remediations, "a", START) == 3 - number
        await operator.usage.pay(operator.guardrails, remediations, draft, START)
        remediations.append(draft)
    after = Operator(store)
    await after.usage.begin(after.guardrails, [], START)
    assert after.left([], "a", START) < 1
    assert after.left([], "b", START) == pytest.approx(2)
    assert after.left([], "a", START + 2 * HOUR) == pytest.approx(1)


async def test_what_was_done_before_it_was_written_down_is_written_down_at_once(store):
    remediations = [remediation(number, "a", START, "o-a", number) for number in range(2)]
    operator = Operator(store)
    await operator.usage.begin(operator.guardrails, remediations, START + 60)
    assert {each.get("namespace", "") for each in store.guardrail()["status"]["spent"]} == {"", "a"}
    version = store.version
    await operator.usage.begin(operator.guardrails, remediations, START + 120)
    assert store.version == version
    assert Operator(store).guardrails[0].status.spent[0].used == pytest.approx(2, abs=0.01)


async def test_an_action_that_could_not_be_opened_is_paid_for_once(store):
    operator, draft = Operator(store), remediation(1, "a", START, "o-a", 1)
    for _ in range(20):
        await operator.usage.begin(operator.guardrails, [], START)
        operator.usage.refund(operator.guardrails, draft)
        assert operator.left([], "a", START) == pytest.approx(3)
        await operator.usage.pay(operator.guardrails, [], draft, START)
    assert operator.left([], "a", START) == pytest.approx(2)


async def test_what_can_not_be_written_down_is_not_done(store):
    operator, draft = Operator(store), remediation(1, "a", START, "o-a", 1)
    store.fate = "refused"
    with pytest.raises(Unavailable):
        await operator.usage.pay(operator.guardrails, [], draft, START)
    store.change(Guardrail.KIND, "all", {"metadata": {"labels": {"changed": "meanwhile"}}})
    with pytest.raises(Conflict):
        await operator.usage.pay(operator.guardrails, [], draft, START)


async def test_without_a_budget_nothing_is_written():
    store = Store({})
    version = store.version
    operator = Operator(store)
    await operator.usage.begin(operator.guardrails, [remediation(1, "a", START, "o-a", 1)], START)
    await operator.usage.pay(operator.guardrails, [], remediation(2, "a", START, "o-a", 2), START)
    assert store.version == version
