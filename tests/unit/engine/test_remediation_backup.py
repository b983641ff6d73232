"""Kind: a guarantee that depends on records which can be deleted.

Invariant: whichever of its Remediations are deleted, and whether the operator restarts or not, no policy may act sooner
than if nothing had been deleted.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.support.examples import examples
from tests.support.memory_cluster import MemoryCluster, Request
from tests.support.virtual_time import run

from forestall.actions import ACTIONS
from forestall.actions.notify import NoChannels
from forestall.api import Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.api.service_level_objective import Record
from forestall.api.times import stamp
from forestall.core.forecast import Limit, SeriesForecast
from forestall.core.guards import GuardInput
from forestall.core.guards.cooldown import cooldown
from forestall.core.guards.lockout import lockout
from forestall.core.risk import Signal
from forestall.engine import policy_limits
from forestall.engine.delivery_tracker import DeliveryTracker
from forestall.engine.remediation_backup import AT_ONCE, RemediationBackup
from forestall.engine.settings import Settings
from forestall.engine.snapshot import Snapshot
from forestall.engine.status_publisher import StatusPublisher
from forestall.errors import ClusterError, Forbidden, Unavailable
from forestall.isolation import ErrorIsolation
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler
from forestall.remediation.backup import draft_of

API = "forestall.dev/v1alpha1"
NOW, HOUR = 1_000_000.0, 3600.0
LADDER = [{"scale": {"maxReplicas": 8}}, {"restart": {}}, {"evict": {}}]


class Store(MemoryCluster):
    """A cluster with the objects of one namespace; creation can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: ClusterError | None = None
        self.loses = 0
        """After how many creations the write of the next status fails."""

    def put(self, kind: str, name: str, **content: Any) -> None:
        metadata = {"name": name, "namespace": "shop", "uid": f"{kind}-{name}", **content.pop("metadata", {})}
        metadata = {key: value for key, value in metadata.items() if value is not None}
        self.insert({"kind": kind, "metadata": metadata, **content})

    async def _serve(self, request: Request, effect: Callable[[], Any]) -> Any:
        if request.verb == "create" and self.refuses is not None:
            raise self.refuses
        if request.verb in ("replace_status", "apply_status") and self.loses:
            self.loses -= 1
            raise Unavailable("connection refused")
        return await super()._serve(request, effect)

    @property
    def remediations(self) -> dict[str, Remediation]:
        return {key[2]: Remediation.read(body) for key, body in self.objects.items() if key[0] == Remediation.KIND}


class Operator:
    """One process of the operator, whose memory is lost when another one replaces it."""

    def __init__(self, store: Store) -> None:
        self.store, self.registry = store, Registry()
        self.publisher = StatusPublisher(store, self.registry, Settings(), DeliveryTracker(NoChannels()))
        self.backup = RemediationBackup(self.registry, ErrorIsolation())
        self.publisher.records, self.backup.write_records = self.backup.of, self.publisher.write_records
        self.reconciler = RemediationReconciler(store)

    def watch(self) -> None:
        for (kind, _, _), body in self.store.objects.items():
            self.registry.put(kind, body)
        uids = {body["metadata"]["uid"] for body in self.store.objects.values()}
        for kind in (Remediation.KIND, ServiceLevelObjective.KIND, "Namespace"):
            self.registry.prune(kind, self.registry.uids(kind) - uids)

    def begin(self, now: float = NOW) -> Snapshot:
        """Begin a cycle; return the snapshot that it decides with."""
        self.watch()
        scenes: list[Snapshot] = []

        async def run() -> None:  # what a task returns, asyncio.run puts into words, which takes long
            scenes.append(await self.backup.begin(self.reconciler, Snapshot.of(self.registry), now))

        asyncio.run(run())
        self.watch()
        return scenes[0]

    def keep(self, now: float = NOW) -> None:
        """Write the backups into the statuses, as the end of a cycle does."""
        for slo in self.registry.all(ServiceLevelObjective):
            asyncio.run(self.publisher.write_records(slo, now))


def remediation(
    number: int, phase: str, ended: float, *, rung: int = 0, episode: int = 1, reason: str = "x", objective: str = "web"
) -> dict[str, Any]:
    ref = {"apiVersion": API, "namespace": "shop"}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web", "uid": "d-1"}
    if rung == 2:
        target = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": f"web-{number}", "uid": f"c-{number}"}
    intent = {
        "policy": {**ref, "kind": "RemediationPolicy", "name": "early", "uid": "RemediationPolicy-early"},
        "policyGeneration": 1,
        "objective": {
            **ref,
            "kind": "ServiceLevelObjective",
            "name": objective,
            "uid": f"ServiceLevelObjective-{objective}",
        },
        "episode": episode,
        "rung": rung,
        "target": target,
        "action": LADDER[rung],
        "mode": "Auto",
        "evidence": {"indicator": "load"},
        "created": stamp(ended - 60),
        "deadline": stamp(ended + HOUR),
    }
    one = Remediation.read({"metadata": {"name": "x"}, "spec": {"intent": intent}})
    step = {"at": stamp(ended - 50), "change": "x", "from": 0, "to": 1, "done": True}
    status = {"phase": phase, "reason": reason, "since": stamp(ended - 50), "steps": [step]}
    status |= {"ended": stamp(ended)} if phase in ("Succeeded", "Failed", "RolledBack", "Aborted") else {}
    return {**draft_of(one.spec.intent), "status": status}


@pytest.fixture
def store() -> Store:
    return a_store()


def a_store(*histories: dict[str, Any]) -> Store:
    store = Store()
    store.put("Namespace", "shop", metadata={"namespace": None})
    for name in ("web", "api"):
        spec = {"target": {"name": "web"}, "indicator": {"raw": {"errorRatio": "x"}}, "objective": 99.0}
        store.put(ServiceLevelObjective.KIND, name, spec=spec)
    store.put(RemediationPolicy.KIND, "early", spec={"mode": "Auto", "cooldown": "1h", "actions": LADDER})
    for body in histories:
        name = body["metadata"]["name"]
        store.put(Remediation.KIND, name, metadata=body["metadata"], spec=body["spec"], status=body["status"])
    return store


FORECAST = SeriesForecast((600.0,), 0.9, (0.9,), (5.0,), (8.0,), (15.0,), 300.0, 100.0, 500.0, None, 9.0, 0.0, Limit(1))
SIGNAL = Signal("load", (), 9.0, 1.0, True, 600.0, NOW, True, FORECAST)


def answers(scene: Snapshot, now: float) -> dict[tuple[str, int, int], Any]:
    """Return the result of guards and ladder for each action that could be decided next."""
    (policy,) = next(iter(scene.policies.values()))
    result: dict[tuple[str, int, int], Any] = {}
    for name in ("web", "api"):
        slo = next(each for each in scene.objectives.values() if each.name == name)
        on_target = [one for one in scene.remediations if one.spec.intent.target.uid == "d-1"]
        mine = [one for one in scene.remediations if one.spec.intent.objective.uid == slo.uid]
        related = list({one.name: one for one in (*on_target, *mine)}.values())
        history = policy_limits.ended(related, policy)
        resting = {one.name for one in on_target}
        newest = max((one.spec.intent.episode for one in mine), default=0)
        for episode in (newest, newest + 1):
            spent = policy_limits.spent(mine, policy, slo, episode)
            for rung, action in enumerate(("Scale", "Restart", "Evict")):
                context = GuardInput(
                    now=now,
                    action=ACTIONS[action].traits,
                    namespace="shop",
                    policy_uid=policy.uid,
                    objective_uid=slo.uid,
                    episode=episode,
                    cause=SIGNAL,
                    suspended=False,
                    paused=None,
                    allowed=True,
                    victim_of=None,
                    active_remediation=next((one.name for one in related if policy_limits.is_in_the_way(one)), None),
                    cooldown=policy.spec.cooldown.seconds,
                    history=history,
                    last_ended_at=max((one.ended_at for one in history if one.name in resting), default=None),
                    buckets=(),
                    nodes=None,
                    rung=rung,
                )
                held = [guard(context) for guard in (cooldown, lockout)]
                result[name, episode, rung] = (context.active_remediation, held, rung in spent)
    return result


PAST = st.lists(
    st.builds(
        remediation,
        st.integers(0, 1000),
        st.sampled_from(["Succeeded", "Failed", "RolledBack", "Aborted"]),
        st.floats(NOW - 3 * HOUR, NOW - 1),
        rung=st.integers(0, 2),
        episode=st.integers(1, 3),
        reason=st.sampled_from(["NotHelped", "UndoRequested", "Refused", "Deleted"]),
        objective=st.sampled_from(["web", "api"]),
    ),
    max_size=7,
    unique_by=lambda body: body["metadata"]["name"],
)


@settings(max_examples=examples(30))
@given(PAST, st.data(), st.sampled_from(["same", "new"]), st.sampled_from(["", "refused", "lost"]), st.floats(0, HOUR))
def test_deletion_never_makes_a_policy_act_sooner(past, data, process, trouble, later):
    store = a_store(*past)
    operator = Operator(store)
    undeleted = operator.begin()
    operator.keep()
    gone = data.draw(st.sets(st.sampled_from(sorted(store.remediations) or [""])))
    for name in gone:
        store.objects.pop((Remediation.KIND, "shop", name), None)
    if process == "new":
        operator = Operator(store)
    now = NOW + later
    store.refuses = Unavailable("no answer") if trouble == "refused" else None
    store.loses = 1 if trouble == "lost" else 0
    before = answers(undeleted, now)
    for _ in range(2):
        after = answers(operator.begin(now), now)
        assert after == {key: before[key] for key in after}
        store.refuses, store.loses = None, 0
    operator.keep()
    assert not any(one.unwritten for one in store.remediations.values())


def test_needed_remediation_is_created_again_once_and_an_unneeded_one_is_not(store):
    old = remediation(1, "Succeeded", NOW - 9 * HOUR, episode=1)
    last = remediation(2, "Failed", NOW - 8 * HOUR, episode=2)
    store = a_store(old, last)
    operator = Operator(store)
    operator.begin()
    operator.keep()
    names = set(store.remediations)
    for name in names:
        del store.objects[Remediation.KIND, "shop", name]
    operator.begin()
    (back,) = store.remediations.values()
    assert back.name == last["metadata"]["name"]
    assert back.spec.restored is not None
    version = store._version
    operator.begin()
    assert store._version == version


def test_retention_and_backup_do_not_conflict():
    """A Remediation that retention deletes is not created again, even from an old status."""
    store = a_store(*(remediation(n, "Failed", NOW - n * HOUR / 9, episode=9 - n) for n in range(1, 9)))
    operator = Operator(store)
    operator.begin()
    operator.keep()
    for name, one in store.remediations.items():
        if one.spec.intent.episode < 8:
            del store.objects[Remediation.KIND, "shop", name]
    for process in (operator, Operator(store)):
        process.begin(NOW + 2 * HOUR)
        assert [one.spec.intent.episode for one in store.remediations.values()] == [8]


def test_deleted_namespace_is_not_written_to_forever():
    store = a_store(remediation(1, "Failed", NOW - 60))
    operator = Operator(store)
    operator.begin()
    store.objects.clear()
    store.refuses = Forbidden("the namespace is being terminated")
    for _ in range(2):
        assert operator.begin().remediations == []


@pytest.mark.parametrize(("created", "count"), [("2026-01-01T00:00:00Z", 1), ("2026-01-01T00:00:10Z", 0)])
def test_a_namespace_that_is_created_again_gets_nothing_back(created, count):
    """Kind: identity by name. Within one cycle a namespace is deleted, and another of its name is there."""
    past = remediation(1, "Failed", NOW - 60)
    past["metadata"]["creationTimestamp"] = "2026-01-01T00:00:05Z"
    store = a_store(past)
    operator = Operator(store)
    operator.begin()
    store.objects.clear()
    store.put("Namespace", "shop", metadata={"namespace": None, "uid": "another", "creationTimestamp": created})
    for _ in range(2):
        assert len(operator.begin().remediations) == count
    assert len(store.remediations) == count


def test_many_deletions_at_once_all_count_and_are_restored_over_cycles():
    past = [remediation(n, "Failed", NOW - n, rung=2, objective="web") for n in range(1, AT_ONCE // 3)]
    past += [remediation(n, "Failed", NOW - n, rung=2, objective="api") for n in range(1, AT_ONCE // 3)]
    store = a_store(*past)
    operator = Operator(store)
    undeleted = operator.begin()
    for name in store.remediations:
        del store.objects[Remediation.KIND, "shop", name]
    for _ in range(2):
        assert answers(operator.begin(), NOW) == answers(undeleted, NOW)
    assert len(store.remediations) == len(past)


def test_status_of_an_invalid_object_keeps_its_backup():
    """Of the same kind: the condition of an invalid object replaced the backup in its status."""
    store = a_store(remediation(1, "Failed", NOW - 60))
    operator = Operator(store)
    operator.begin()
    operator.keep()
    store.change(ServiceLevelObjective.KIND, "web", {"spec": {"objective": "much"}})
    operator.watch()
    asyncio.run(operator.publisher.publish({}, NOW))
    status = store.objects[ServiceLevelObjective.KIND, "shop", "web"]["status"]
    assert status["conditions"][0]["reason"] == "InvalidSpec"
    assert len(status["records"]) == 1


def test_feedback_still_counts_after_deletion(store):
    one = remediation(1, "Failed", NOW - 60)
    store = a_store({**one, "spec": {**one["spec"], "feedback": {"verdict": "Unhelpful", "by": "kim"}}})
    operator = Operator(store)
    operator.begin()
    operator.keep()
    store.objects.pop((Remediation.KIND, "shop", one["metadata"]["name"]))
    operator = Operator(store)
    (back,) = operator.begin().remediations
    assert back.spec.feedback is None, "nobody's name is written by another"
    assert back.feedback is not None
    assert back.feedback.by == "kim"


def test_unexpected_error_is_confined_to_its_objective():
    """The kind: the exception of one object ends the cycle for all."""
    store = a_store(
        remediation(1, "Failed", NOW - 60, objective="web"), remediation(2, "Failed", NOW - 60, objective="api")
    )
    operator = Operator(store)
    undeleted = operator.begin()
    names = {one.spec.intent.objective.name: name for name, one in store.remediations.items()}
    for name in names.values():
        del store.objects[Remediation.KIND, "shop", name]
    create = store.create

    async def failing(body: Mapping[str, Any]) -> Mapping[str, Any]:
        if body["metadata"]["name"] == names["web"]:
            raise RuntimeError("of another kind")
        return await create(body)

    store.create = failing  # type: ignore[method-assign]
    scene = operator.begin()
    assert set(store.remediations) == {names["api"]}
    assert answers(scene, NOW) == answers(undeleted, NOW)


def test_no_more_than_fifty_are_written_again_in_one_cycle_and_all_count_from_the_first():
    past = [remediation(n, "Failed", NOW - n, rung=2, objective="web") for n in range(1, 21)]
    past += [remediation(n, "Failed", NOW - n, rung=2, objective="api") for n in range(101, 121)]
    past += [remediation(n, "Failed", NOW - n, rung=1, episode=n, objective="api") for n in range(201, 221)]
    store = a_store(*past)
    operator = Operator(store)
    kept = len(operator.begin().remediations)
    known = sum(len(by_name) for by_name in operator.backup._by_objective.values())
    for name in store.remediations:
        del store.objects[Remediation.KIND, "shop", name]
    created = len([request for request in store.requests if request.verb == "create"])
    scene = operator.begin()
    first = len([request for request in store.requests if request.verb == "create"]) - created
    assert (kept, first) == (60, min(known, 50))
    assert len(scene.remediations) == known
    operator.begin()
    assert len(store.remediations) == known


def test_another_leaders_backup_is_read_again(store):
    one = remediation(1, "Failed", NOW - 60)
    store = a_store(one)
    operator = Operator(store)
    operator.begin()
    operator.keep()
    backup = operator.backup
    assert len(backup.of("ServiceLevelObjective-web", [])) == 1
    backup.forget()
    before = store.objects[ServiceLevelObjective.KIND, "shop", "web"]["status"]["records"]
    assert backup.of("ServiceLevelObjective-web", before) is before
    del store.objects[Remediation.KIND, "shop", one["metadata"]["name"]]
    assert len(operator.begin().remediations) == 1


def test_a_step_is_in_the_backup_before_it_is_made_the_newest_first(store):
    store = a_store()
    operator = Operator(store)
    operator.begin()
    bodies = [remediation(number, "Verifying", NOW - 60, rung=number - 1) for number in (1, 2)]
    for body in bodies:
        metadata = {**body["metadata"], "resourceVersion": "1", "uid": body["metadata"]["name"]}
        asyncio.run(operator.backup.remember(Remediation.read({**body, "metadata": metadata}), NOW))
    records = store.objects[ServiceLevelObjective.KIND, "shop", "web"]["status"]["records"]
    assert [record["name"] for record in records] == [body["metadata"]["name"] for body in reversed(bodies)]
    pending = Remediation.read({**bodies[0], "status": {"phase": "Pending"}})
    operator.backup.forget()
    operator.backup.note(pending)
    assert operator.backup._by_objective == {}, "what has not begun is no part of it"


def test_a_remediation_without_its_status_waits_for_it(store):
    body = remediation(1, "Failed", NOW - 60)
    store = a_store(body)
    operator = Operator(store)
    operator.begin()
    (existing,) = store.remediations.values()
    bare = Remediation.read({
        "metadata": {"name": existing.name, "namespace": "shop", "uid": "again"},
        "spec": {**body["spec"], "restored": {"uid": existing.uid, "phase": "Failed"}},
    })  # fmt: skip
    assert bare.unwritten
    assert operator.backup.awaits(bare)
    assert not operator.backup.awaits(existing)
    other = bare.model_copy(update={"metadata": bare.metadata.model_copy(update={"name": "other"})})
    assert not operator.backup.awaits(other)
    known = operator.backup.with_deleted({("shop", bare.name): bare, ("shop", "other"): other})
    assert known == {("shop", existing.name): existing, ("shop", "other"): other}


def test_what_can_not_be_written_again_is_logged_and_counts(store):
    store = a_store(remediation(1, "Failed", NOW - 60))
    operator = Operator(store)
    operator.begin()
    store.objects = {key: body for key, body in store.objects.items() if key[0] != Remediation.KIND}
    for error in (Forbidden("not yours"), Unavailable("no answer")):
        store.refuses = error
        with capture_logs() as logs:
            assert len(operator.begin().remediations) == 1
        assert [(log["event"], log["error"]) for log in logs] == [("remediation not written again", str(error))]
    store.refuses = None
    with capture_logs() as logs:
        operator.begin()
    assert [log["event"] for log in logs] == ["remediation written again that was deleted"]


def test_an_objective_that_is_gone_with_nothing_in_its_backup_is_forgotten():
    store = a_store(remediation(1, "Failed", NOW - 60))
    operator = Operator(store)
    operator.begin()
    for name in ("web", "api"):
        del store.objects[ServiceLevelObjective.KIND, "shop", name]
    operator.begin()
    assert list(operator.backup._by_objective) == ["ServiceLevelObjective-web"]
    store.objects = {key: body for key, body in store.objects.items() if key[0] == "Namespace"}
    operator.begin()
    operator.begin()
    assert "ServiceLevelObjective-api" not in operator.backup._by_objective


def test_a_remediation_that_this_version_can_not_read_is_not_written_again():
    """What is invalid is there all the same."""
    store = a_store(remediation(1, "Failed", NOW - 60))
    operator = Operator(store)
    operator.begin()
    (name,) = store.remediations
    store.change(Remediation.KIND, name, {"spec": {"intent": {"rung": "of a later version"}}})
    with capture_logs() as logs:
        assert operator.begin().remediations == []
    assert [request.verb for request in store.requests if request.verb == "create"] == []
    assert [log for log in logs if "written again" in log["event"]] == []


def test_an_empty_backup_of_an_objective_empties_its_status():
    operator = Operator(a_store())
    before = [Record(name="an-old-one", uid="u", phase="Failed", body="")]
    assert operator.backup.of("ServiceLevelObjective-web", before) is before
    operator.begin()
    assert operator.backup.of("ServiceLevelObjective-web", before) == []


@pytest.mark.parametrize(("takes", "count"), [(49.0, 1), (51.0, 0)])
def test_each_attempt_has_half_of_the_time_that_is_left(takes, count):
    store = a_store(remediation(1, "Failed", NOW - 60))
    operator = Operator(store)
    operator.begin()
    store.objects = {key: body for key, body in store.objects.items() if key[0] != Remediation.KIND}
    operator.watch()
    create = store.create

    async def late(body: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(takes)
        return await create(body)

    store.create = late  # type: ignore[method-assign]

    async def begin() -> None:
        await operator.backup.begin(operator.reconciler, Snapshot.of(operator.registry), NOW, 100.0)

    with capture_logs() as logs:
        run(begin())
    assert len(store.remediations) == count
    assert count or logs[0]["error"] == "it took too long"


def test_what_is_under_way_for_an_objective_that_is_gone_is_backed_up_too():
    store = a_store(remediation(1, "Verifying", NOW - 60))
    del store.objects[ServiceLevelObjective.KIND, "shop", "web"]
    operator = Operator(store)
    operator.begin()
    (name,) = store.remediations
    del store.objects[Remediation.KIND, "shop", name]
    assert [one.name for one in operator.begin().remediations] == [name]
