"""Kind: a guarantee that depends on records which can be deleted.

26 actions a day were allowed, and 32 were made, because the Remediations that they are counted from are deleted.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from tests.support.examples import examples
from tests.support.memory_cluster import MemoryCluster, Request

from forestall.actions.notify import NoChannels
from forestall.api import Guardrail, Remediation
from forestall.api.times import stamp
from forestall.core.guards import RecordedUsage, TokenBucket
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
    """A cluster with one Guardrail; the next write can be made to fail, or to succeed with a lost response."""

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
    """One process of the operator, whose memory is lost when another one replaces it."""

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
        """Return how many actions the budget still allows."""
        buckets = policy_limits.buckets(self.guardrails, history, namespace, self.usage.debts)
        return min(tokens_left(bucket, now) for bucket in buckets)


def true_levels(acts: list[tuple[float, str]], namespace: str | None, size: int, per: float) -> list[float]:
    """Return the level of the bucket after each action ever made; below zero is a violation."""
    times = [at for at, where in acts if namespace in (None, where)]
    return [tokens_left(TokenBucket("", size, per, times[: n + 1]), at) for n, at in enumerate(times)]


class Budgets(RuleBasedStateMachine):
    """Actions, retention, deletions, lost responses and leader changes in any order never exceed a budget."""

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


Budgets.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=40, deadline=None)
TestBudgets = Budgets.TestCase


@pytest.fixture
def store():
    return Store(SPEC)


async def test_spending_counts_after_its_remediation_is_deleted_and_the_leader_changes(store):
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


async def test_spending_from_before_it_was_recorded_is_recorded_at_once(store):
    remediations = [remediation(number, "a", START, "o-a", number) for number in range(2)]
    operator = Operator(store)
    await operator.usage.begin(operator.guardrails, remediations, START + 60)
    assert {each.get("namespace", "") for each in store.guardrail()["status"]["spent"]} == {"", "a"}
    version = store.version
    await operator.usage.begin(operator.guardrails, remediations, START + 120)
    assert store.version == version
    assert Operator(store).guardrails[0].status.spent[0].used == pytest.approx(2, abs=0.01)


async def test_action_whose_remediation_could_not_be_created_is_paid_for_once(store):
    operator, draft = Operator(store), remediation(1, "a", START, "o-a", 1)
    for _ in range(20):
        await operator.usage.begin(operator.guardrails, [], START)
        operator.usage.refund(operator.guardrails, draft)
        assert operator.left([], "a", START) == pytest.approx(3)
        await operator.usage.pay(operator.guardrails, [], draft, START)
    assert operator.left([], "a", START) == pytest.approx(2)


async def test_spending_at_a_time_that_cannot_be_read_counts_as_of_now(store):
    store.change(Guardrail.KIND, "all", {"status": {"spent": [{"namespace": "a", "used": 2.0, "at": "at noon"}]}}, "")
    operator = Operator(store)
    await operator.usage.begin(operator.guardrails, [], START)
    assert operator.usage.debts == {("g-1", "a"): RecordedUsage(2.0, START)}


async def test_no_action_where_the_spending_cannot_be_recorded(store):
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


def recorded(store, **used):
    """Let the Guardrail say what is spent by each namespace; `cluster` stands for all."""
    spent = [
        {"namespace": "" if name == "cluster" else name, "used": value, "at": stamp(START)}
        for name, value in used.items()
    ]
    store.change(Guardrail.KIND, "all", {"status": {"spent": spent}}, "")


def spent(store):
    return {
        entry.get("namespace", ""): (entry["used"], entry["at"])
        for entry in store.guardrail()["status"].get("spent", [])
    }


@pytest.mark.parametrize(("used", "written"), [(1.995, False), (1.98, True), (1.5, True), (2.5, False)])
async def test_only_what_is_spent_beyond_the_record_is_written_down(store, used, written):
    remediations = [remediation(number, "a", START, "o-a", number) for number in range(2)]
    recorded(store, cluster=used, a=used)
    operator, version = Operator(store), store.version
    await operator.usage.begin(operator.guardrails, remediations, START)
    assert (store.version != version) is written
    assert spent(store)["a"] == (2.0 if written else used, stamp(START))
    assert spent(store)[""] == (2.0 if written else used, stamp(START))


async def test_what_only_tells_people_costs_nothing(store):
    body = remediation(1, "a", START, "o-a", 1).dump()
    body["spec"]["intent"]["action"] = {"notify": {"channel": "pager"}}
    telling = Remediation.read(body)
    operator, version = Operator(store), store.version
    await operator.usage.begin(operator.guardrails, [telling], START)
    await operator.usage.pay(operator.guardrails, [], telling, START)
    assert (store.version, spent(store)) == (version, {})


async def test_each_budget_is_paid_with_what_is_left_in_it(store):
    recorded(store, cluster=2.0, a=1.0, b=1.5)
    operator = Operator(store)
    await operator.usage.begin(operator.guardrails, [], START)
    await operator.usage.pay(operator.guardrails, [], remediation(1, "a", START, "o-a", 1), START + HOUR)
    after = stamp(START + HOUR)
    # Each is refilled: 5 a day, and 3 in six hours.
    assert spent(store) == {
        "": (pytest.approx(3.0 - 5 / 24, abs=1e-5), after),
        "a": (pytest.approx(2.0 - 0.5), after),
        "b": (1.5, stamp(START)),
    }
    await operator.usage.pay(operator.guardrails, [], remediation(2, "a", START, "o-a", 2), START + 4 * HOUR)
    assert set(spent(store)) == {"", "a"}, "what is refilled is dropped"


async def test_a_budget_that_is_not_limited_is_not_written_down():
    for field, kept in (("budget", ""), ("namespaceBudget", "a")):
        store = Store({field: SPEC[field]})
        operator = Operator(store)
        await operator.usage.pay(operator.guardrails, [], remediation(1, "a", START, "o-a", 1), START)
        assert set(spent(store)) == {kept}


async def test_an_action_that_was_not_begun_is_refunded_once_and_no_other(store):
    operator, draft = Operator(store), remediation(1, "a", START, "o-a", 1)
    usage, guardrails = operator.usage, operator.guardrails
    usage.refund(guardrails, draft)
    assert usage.debts == {}
    await usage.pay(guardrails, [], draft, START)
    usage.refund(guardrails, remediation(2, "a", START, "o-a", 2))
    assert {key[1]: debt.used for key, debt in usage.debts.items()} == {"": 1.0, "a": 1.0}
    for _ in range(2):
        usage.refund(guardrails, draft)
        assert {key[1]: debt.used for key, debt in usage.debts.items()} == {"": 0.0, "a": 0.0}
    await usage.pay(guardrails, [], draft, START)
    await usage.begin(guardrails, [draft], START)
    before = dict(usage.debts)
    usage.refund(guardrails, draft)
    assert usage.debts == before, "it is known to exist"


async def test_what_could_not_be_written_down_at_the_beginning_is_tried_again(store):
    remediations = [remediation(1, "a", START, "o-a", 1)]
    operator = Operator(store)
    store.fate = "refused"
    await operator.usage.begin(operator.guardrails, remediations, START)
    assert spent(store) == {}
    operator.watch()
    await operator.usage.begin(operator.guardrails, remediations, START)
    assert spent(store) == {"": (1.0, stamp(START)), "a": (1.0, stamp(START))}


async def test_what_was_counted_once_is_not_counted_again_before_there_is_more(store):
    remediations = [remediation(number, "a", START, "o-a", number) for number in range(2)]
    operator = Operator(store)
    usage = operator.usage
    counted: list[int] = []
    fold = usage._fold

    async def counting(guardrail: Guardrail, history: Any, now: float) -> None:
        counted.append(len(history))
        await fold(guardrail, history, now)

    usage._fold = counting  # type: ignore[method-assign]
    for history in ([], [], remediations[:1], remediations[:1], [], remediations, remediations[1:]):
        await usage.begin(operator.guardrails, history, START)
    assert counted == [0, 1, 2]
    store.change(Guardrail.KIND, "all", {"spec": {"budget": {"actions": 7, "per": "1d"}}}, "")
    operator.watch()
    await usage.begin(operator.guardrails, remediations, START)
    assert counted == [0, 1, 2, 2]


async def test_so_many_budgets_are_kept_those_with_the_most_and_the_clusters_first(store):
    operator = Operator(store)
    operator.usage.debts = {
        ("g-1", f"n{number:04}"): RecordedUsage(1 + number / 10_000, START) for number in range(5000)
    }
    operator.usage.debts["g-2", "other"] = RecordedUsage(3.0, START)
    await operator.usage.pay(operator.guardrails, [], remediation(1, "n0000", START, "o-a", 1), START)
    kept = spent(store)
    assert (len(kept), next(iter(kept)), "n0000" in kept) == (5000, "", True)
    assert set(kept) == {"", "n0000", *(f"n{number:04}" for number in range(2, 5000))}
