"""How Remediations are written and read, and which Events say so."""

from typing import get_args

import pytest
from tests.support.memory_cluster import MemoryCluster

from forestall.api.remediation import Phase, change_of
from forestall.core.decision import Hold
from forestall.errors import Conflict, NotFound, Unavailable
from forestall.remediation.status_updates import moved
from forestall.remediation.store import RemediationStore

NOW = 1_000_000.0
NORMAL = ("Pending", "AwaitingApproval", "Authorized", "Executing", "Verifying", "Succeeded")


@pytest.fixture
def cluster():
    return MemoryCluster()


@pytest.fixture
def store(cluster):
    return RemediationStore(cluster)


@pytest.fixture
async def stored(run, store):
    """Return a Remediation that was just written down."""
    return await store.open(run.intend())


async def test_an_intent_is_written_down_once(run, cluster, store, stored):
    assert (await store.open(run.intend(to=9))).spec.intent.to == stored.spec.intent.to == 5
    assert len(cluster.objects) == 1


@pytest.mark.parametrize("phase", [phase for phase in get_args(Phase) if phase != "Pending"])
async def test_each_new_phase_is_an_event_of_its_objective(cluster, store, stored, phase):
    saved = await store.save(stored, moved(stored.status, phase, "Reason", "what happened", NOW))
    (event,) = cluster.events
    assert (event.reason, event.regarding.kind) == (f"Remediation{phase}", "ServiceLevelObjective")
    assert event.kind == ("Normal" if phase in NORMAL else "Warning")
    assert event.message == f"{saved.name}: what happened"


async def test_another_reason_is_no_event_and_the_same_status_no_write(cluster, store, stored):
    held = await store.save(stored, moved(stored.status, "Pending", "Cooldown", "a minute is left", NOW))
    assert (held.status.reason, cluster.events) == ("Cooldown", [])
    assert await store.save(held, held.status) is held


async def test_what_is_to_be_changed_is_said_beside_the_steps(store, stored):
    saved = await store.commit(stored, moved(stored.status, "Executing", "Executing", "", NOW))
    assert saved.status.change == change_of(stored.spec.intent, [])


async def test_an_event_that_cannot_be_recorded_keeps_nothing_from_being_written(cluster, store, stored):
    cluster.fail("record", Unavailable("no answer"))
    saved = await store.save(stored, moved(stored.status, "Authorized", "GuardsPassed", "", NOW))
    assert saved.status.phase == "Authorized"


async def test_a_status_that_somebody_else_has_written_is_not_written_over(store, stored):
    await store.save(stored, moved(stored.status, "Authorized", "GuardsPassed", "", NOW))
    with pytest.raises(Conflict):
        await store.save(stored, moved(stored.status, "Aborted", "RiskGone", "", NOW))
    assert (await store.read(stored)).status.phase == "Authorized"


@pytest.mark.parametrize(
    "written",
    [
        {"approval": {"decision": "Approved", "by": "kim"}},
        {"undo": {"by": "kim", "comment": "worse"}},
    ],
)
async def test_what_a_person_decided_meanwhile_keeps_a_step_from_being_written(cluster, store, stored, written):
    cluster.change("Remediation", stored.name, {"spec": written})
    with pytest.raises(Conflict):
        await store.save(stored, moved(stored.status, "Authorized", "GuardsPassed", "", NOW))


async def test_what_was_read_before_need_not_be_checked_again(cluster, store, stored):
    assert await store.read(stored) is stored
    cluster.change("Remediation", stored.name, {"metadata": {"labels": {"team": "web"}}})
    assert (await store.read(stored)).metadata.labels["team"] == "web"
    cluster.objects.clear()
    with pytest.raises(NotFound):
        await store.read(stored)


async def test_why_it_waits_is_written_once_and_not_where_it_has_ended(cluster, store, stored):
    hold = Hold("InternalError", "it went wrong")
    held = await store.hold(stored, hold, NOW)
    assert (held.status.phase, held.status.reason, held.status.message) == ("Pending", "InternalError", "it went wrong")
    again = await store.hold(held, Hold("InternalError", "in other words"), NOW)
    assert again.status.message == "it went wrong"
    ended = await store.save(again, moved(again.status, "Aborted", "RiskGone", "", NOW))
    assert (await store.hold(ended, hold, NOW)).status.reason == "RiskGone"


async def test_what_somebody_deleted_is_written_again_and_said(cluster, store, stored):
    known = await store.save(stored, moved(stored.status, "Verifying", "Verifying", "", NOW))
    cluster.objects.clear()
    cluster.events.clear()
    restored = await store.restore(known, moved(known.status, "RollingBack", "Deleted", "", NOW))
    assert (restored.status.phase, restored.signature) == ("RollingBack", known.signature)
    (event,) = cluster.events
    assert (event.reason, event.kind) == ("RemediationRestored", "Warning")
    assert (await store.restore(known, known.status)).status.phase == "RollingBack", "it is there"
    assert len(cluster.events) == 1


class Busy(MemoryCluster):
    """A cluster in which somebody labels a Remediation right before each of so many writes of its status."""

    conflicts = 0

    def _write_status(self, ref, status, version):
        if self.conflicts:
            self.conflicts -= 1
            self.change(ref.kind, ref.name, {"metadata": {"labels": {"count": str(self.conflicts)}}})
        return super()._write_status(ref, status, version)


@pytest.mark.parametrize(("conflicts", "written"), [(39, True), (40, False)])
async def test_a_status_is_written_over_labels_forty_times_at_the_most(run, conflicts, written):
    cluster = Busy()
    store = RemediationStore(cluster)
    opened = await store.open(run.intend())
    cluster.conflicts = conflicts
    status = moved(opened.status, "Authorized", "GuardsPassed", "", NOW)
    if written:
        assert (await store.save(opened, status)).status.phase == "Authorized"
    else:
        with pytest.raises(Conflict):
            await store.save(opened, status)
