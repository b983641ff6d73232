"""What ended remediations are kept, for what rests on them, and what is deleted."""

from tests.support.memory_cluster import MemoryCluster

from forestall.api import Guardrail, Remediation, RemediationPolicy
from forestall.api.times import stamp
from forestall.errors import NotFound, Unavailable
from forestall.remediation import RetentionNeeds, delete_expired, expired, name_of
from forestall.remediation.retention import HISTORY_LIMIT, TTL, still_needed

DAY = 86400.0
NOW = 100 * DAY


def life(run, episode, *, ended_days_ago=None, objective="o-1", policy="p-1", rung=0, action=None):
    """Return a Remediation that was decided a day before it ended."""
    intent = run.intend(episode=episode, rung=rung, **({"action": action} if action else {}))
    refs = {
        name: getattr(intent, name).model_copy(update={"uid": uid})
        for name, uid in (("objective", objective), ("policy", policy))
    }
    intent = intent.model_copy(update={**refs, "created": stamp(NOW - ((ended_days_ago or 0) + 1) * DAY)})
    status = {"phase": "Verifying"}
    if ended_days_ago is not None:
        status = {"phase": "Succeeded", "ended": stamp(NOW - ended_days_ago * DAY)}
    metadata = {"name": name_of(intent), "namespace": "shop"}
    return Remediation.read({"metadata": metadata, "spec": {"intent": intent.dump()}, "status": status})


def episodes(found):
    return [each.spec.intent.episode for each in found]


def test_old_history_goes_but_never_what_lives_or_keeps_an_episode_from_being_repeated(run):
    history = [
        life(run, 1),
        *(life(run, number, ended_days_ago=20 - number) for number in range(2, 8)),
        life(run, 8, ended_days_ago=9),
    ]
    needs = RetentionNeeds({"o-1"}, {"p-1"})
    found = expired(history, needs, NOW, ttl=15 * DAY, limit=100)
    assert episodes(found) == [5, 4, 3, 2]
    assert episodes(expired(history, needs, NOW, ttl=99 * DAY, limit=4)) == [4, 3, 2]
    assert episodes(expired(history, RetentionNeeds((), ()), NOW, ttl=8 * DAY, limit=100)) == [
        8,
        7,
        6,
        5,
        4,
        3,
        2,
    ]


def names(remediations):
    return [(each.spec.intent.episode, each.spec.intent.rung) for each in remediations]


def test_every_rung_of_the_newest_episode_is_kept_not_only_the_last_of_the_policy(run):
    """Kind: a test whose history is held by another promise, so that the one it names can go unnoticed."""
    newest = [life(run, 5, rung=rung, ended_days_ago=20 - rung) for rung in range(3)]
    before = life(run, 4, ended_days_ago=25)
    needs = RetentionNeeds({"o-1"}, {"p-1"})
    assert names(expired([*newest, before], needs, NOW, ttl=DAY, limit=0)) == [(4, 0)]
    begun = [*newest, life(run, 6, rung=1)]
    assert names(expired(begun, needs, NOW, ttl=DAY, limit=0)) == [(5, 1), (5, 0)], "it is over: one of it is the last"
    deleted = RetentionNeeds((), {"p-1"})
    assert names(expired(newest, deleted, NOW, ttl=DAY, limit=0)) == [(5, 2), (5, 1), (5, 0)], "of no objective"


def test_the_newest_that_told_people_locks_nothing(run):
    told = life(run, 4, rung=2, ended_days_ago=10, action={"notify": {"channel": "pager"}})
    acted = life(run, 3, ended_days_ago=20)
    later = life(run, 5)
    assert names(expired([told, acted, later], RetentionNeeds({"o-1"}, {"p-1"}), NOW, ttl=DAY, limit=0)) == [(4, 2)]


def test_what_is_needed_most_comes_first(run):
    """Where there is no room for all records, the first are written down."""
    cooling = life(run, 3, rung=1, ended_days_ago=1)
    locking = life(run, 2, ended_days_ago=0.5, policy="p-2")
    tried = life(run, 5, ended_days_ago=7)
    last = life(run, 5, rung=1, ended_days_ago=6)
    unneeded = life(run, 1, ended_days_ago=8)
    live = life(run, 5, rung=2)
    of_deleted_policy = life(run, 5, rung=3, ended_days_ago=0.2, policy="p-3")
    at_the_same_time = life(run, 5, rung=4, ended_days_ago=7)
    group = [unneeded, cooling, tried, at_the_same_time, of_deleted_policy, live, locking, last]
    found = still_needed(group, RetentionNeeds({"o-1"}, {"p-1", "p-2"}, cooldown=2 * DAY), NOW)
    # Of `p-1` the one that cools down ended last.
    assert names(found) == [(2, 0), (3, 1), (5, 3), (5, 1), (5, 0), (5, 4)]
    found = still_needed(group, RetentionNeeds({"o-1"}, {"p-2"}, cooldown=2 * DAY), NOW)
    assert names(found) == [(2, 0), (5, 3), (5, 1), (5, 0), (5, 4), (3, 1)]
    assert still_needed([], RetentionNeeds({"o-1"}, {"p-1"}), NOW) == []


def test_history_goes_at_its_age_and_beyond_its_number_and_not_before(run):
    history = [life(run, number, ended_days_ago=20 - number) for number in range(1, 6)]
    needs = RetentionNeeds((), ())
    assert episodes(expired(history, needs, NOW, ttl=16 * DAY, limit=9)) == [4, 3, 2, 1]
    assert episodes(expired(history, needs, NOW, ttl=16 * DAY + 1, limit=9)) == [3, 2, 1]
    assert episodes(expired(history, needs, NOW, ttl=99 * DAY, limit=4)) == [1]
    assert episodes(expired(history, needs, NOW, ttl=99 * DAY, limit=5)) == []
    others = [life(run, number, ended_days_ago=20 - number, objective="o-2") for number in range(1, 6)]
    assert episodes(expired([*history, *others], needs, NOW, ttl=99 * DAY, limit=4)) == [1, 1], "of each objective"
    decided = [life(run, 1, ended_days_ago=19)]  # and a day before that
    assert episodes(expired(decided, RetentionNeeds((), (), budgets=20 * DAY), NOW, ttl=0, limit=0)) == [1]
    assert episodes(expired(decided, RetentionNeeds((), (), budgets=20 * DAY + 1), NOW, ttl=0, limit=0)) == []
    assert episodes(expired(decided, RetentionNeeds((), (), cooldown=19 * DAY), NOW, ttl=0, limit=0)) == [1]
    assert episodes(expired(decided, RetentionNeeds((), (), cooldown=19 * DAY + 1), NOW, ttl=0, limit=0)) == []


def test_what_no_cooldown_counts_goes_as_soon_as_it_has_ended(run):
    assert episodes(expired([life(run, 1, ended_days_ago=0)], RetentionNeeds((), ()), NOW, ttl=0, limit=0)) == [1]


def test_what_was_decided_at_a_time_that_cannot_be_read_counts_in_every_budget(run):
    body = life(run, 1, ended_days_ago=50).dump()
    body["spec"]["intent"]["created"] = "yesterday"
    assert expired([Remediation.model_validate(body)], RetentionNeeds((), ()), NOW, ttl=0, limit=0) == []


def test_what_a_promise_rests_on_is_kept(run):
    """Kind: a promise that rests on records which something else deletes."""
    history = [life(run, number, ended_days_ago=40 - number) for number in range(1, 8)]
    history += [life(run, 8, ended_days_ago=20, policy="p-2"), life(run, 9, ended_days_ago=19, policy="p-gone")]
    history += [life(run, 10)]

    def gone(**needs):
        known = RetentionNeeds({"o-1"}, {"p-1", "p-2"}, **needs)
        return episodes(expired(history, known, NOW, ttl=99 * DAY, limit=0))

    assert gone() == [9, 6, 5, 4, 3, 2, 1], "the last of each policy may lock it"
    assert gone(budgets=36 * DAY) == [5, 4, 3, 2, 1], "a budget counts from when it was decided"
    assert gone(cooldown=36 * DAY) == [4, 3, 2, 1], "a cooldown begins with the end"


def test_what_is_needed_follows_from_what_there_is():
    def policy(**spec):
        spec = {"actions": [{"restart": {}}], **spec}
        return RemediationPolicy.read({"metadata": {"name": "p", "uid": "p-1"}, "spec": spec})

    def guardrail(**spec):
        return Guardrail.read({"metadata": {"name": "g", "uid": "g-1"}, "spec": spec})

    policies = [policy(cooldown="2h"), policy(cooldown="1d")]
    budget, own = {"actions": 5, "per": "1h"}, {"actions": 5, "per": "30d"}
    needs = RetentionNeeds.of(
        {"o-1"}, policies, [guardrail(budget=budget), guardrail(namespaceBudget=own), guardrail()]
    )
    assert needs == RetentionNeeds({"o-1"}, {"p-1"}, DAY, 30 * DAY)
    assert RetentionNeeds.of({"o-1"}, [], [guardrail()]) == RetentionNeeds({"o-1"}, set(), cooldown=300.0)


async def test_history_is_deleted_as_it_was_seen_and_nothing_else(run, world):
    old, young = life(run, 1, ended_days_ago=40), life(run, 2, ended_days_ago=1)
    for each in (old, young):
        world.put("Remediation", "shop", each.name, each.uid, **each.dump())
    seen = [Remediation.read(body) for key, body in world.objects.items() if key[0] == "Remediation"]
    world.change("Remediation", young.name, {"metadata": {"labels": {"looked": "at"}}})
    assert [each.name for each in await delete_expired(world, seen, RetentionNeeds({"o-1"}, {"p-1"}), NOW)] == [
        old.name
    ]
    assert ("Remediation", "shop", old.name) not in world.objects
    assert ("Remediation", "shop", young.name) in world.objects


class Refusing(MemoryCluster):
    """Refuses to delete, each by its name."""

    def __init__(self, errors):
        super().__init__()
        self.errors = errors
        self.asked = []

    async def delete(self, ref, resource_version):
        self.asked.append(ref.name)
        if ref.name in self.errors:
            raise self.errors[ref.name]


async def test_what_cannot_be_deleted_stays_for_the_next_time_and_keeps_nothing_else(run):
    history = [life(run, number, ended_days_ago=40 - number) for number in range(1, 4)]
    errors = {history[0].name: NotFound("gone"), history[1].name: Unavailable("no answer")}
    cluster = Refusing(errors)
    gone = await delete_expired(cluster, history, RetentionNeeds((), ()), NOW)
    assert [each.name for each in gone] == [history[2].name, history[0].name]
    assert len(cluster.asked) == 3
    young = [life(run, number, ended_days_ago=number / 10) for number in range(1, HISTORY_LIMIT + 2)]
    assert len(await delete_expired(Refusing({}), young, RetentionNeeds((), ()), NOW)) == 1
    aged = [life(run, 1, ended_days_ago=TTL / DAY), life(run, 2, ended_days_ago=TTL / DAY - 1)]
    assert episodes(await delete_expired(Refusing({}), aged, RetentionNeeds((), ()), NOW)) == [1]
