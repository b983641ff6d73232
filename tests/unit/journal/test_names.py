"""The names of Remediations, and which of them can be forgotten."""

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forestall.api import Guardrail, Remediation, RemediationPolicy
from forestall.api.times import seconds, stamp
from forestall.journal import Needs, name_of, overdue, reap

DAY = 86400.0
NOW = 100 * DAY


# What `run.intend` returns depends on its arguments alone.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policy=st.from_regex(r"[a-z0-9]([-.a-z0-9]{0,250}[a-z0-9])?", fullmatch=True), episode=st.integers(0, 10**9))
def test_a_name_is_readable_and_a_dns_label(run, policy, episode):
    usual = run.intend()
    name = name_of(run.intend(policy={**usual.policy.dump(), "name": policy}, episode=episode))
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 63
    assert "-scale-" in name


def test_what_makes_an_intent_the_same_is_in_its_name_and_nothing_else_is(run):
    usual = run.intend()
    policy, objective, target = usual.policy.dump(), usual.objective.dump(), usual.target.dump()
    others = [
        run.intend(policy={**policy, "uid": "p-2"}),
        run.intend(objective={**objective, "uid": "o-2"}),
        run.intend(target={**target, "uid": "d-2"}),
        run.intend(rung=1),
        run.intend(episode=2),
        run.intend(action={"restart": {}}),
    ]
    assert len({name_of(each) for each in (usual, *others)}) == 7
    assert name_of(run.intend(to=9, created=stamp(5), deadline=stamp(6), policyGeneration=7)) == name_of(usual)


@given(at=st.floats(0, 4e9))
def test_times_come_back_as_they_were_written(at):
    again = seconds(stamp(at))
    assert again is not None
    assert abs(again - at) < 1e-5


def test_what_is_no_time_is_none():
    assert seconds("") is None
    assert seconds("yesterday") is None


def life(run, episode, *, ended_days_ago=None, objective="o-1", policy="p-1"):
    """Return a Remediation that was decided a day before it ended."""
    intent = run.intend(episode=episode)
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
    needs = Needs({"o-1"}, {"p-1"})
    found = overdue(history, needs, NOW, ttl=15 * DAY, keep=100)
    assert episodes(found) == [5, 4, 3, 2]
    assert episodes(overdue(history, needs, NOW, ttl=99 * DAY, keep=4)) == [4, 3, 2]
    assert episodes(overdue(history, Needs((), ()), NOW, ttl=8 * DAY, keep=100)) == [8, 7, 6, 5, 4, 3, 2]


def test_what_a_promise_rests_on_is_kept(run):
    """Kind: a promise that rests on records which something else deletes."""
    history = [life(run, number, ended_days_ago=40 - number) for number in range(1, 8)]
    history += [life(run, 8, ended_days_ago=20, policy="p-2"), life(run, 9, ended_days_ago=19, policy="p-gone")]
    history += [life(run, 10)]

    def gone(**needs):
        known = Needs({"o-1"}, {"p-1", "p-2"}, **needs)
        return episodes(overdue(history, known, NOW, ttl=99 * DAY, keep=0))

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
    needs = Needs.of({"o-1"}, policies, [guardrail(budget=budget), guardrail(namespaceBudget=own), guardrail()])
    assert needs == Needs({"o-1"}, {"p-1"}, DAY, 30 * DAY)
    assert Needs.of({"o-1"}, [], [guardrail()]) == Needs({"o-1"}, set(), cooldown=300.0)


async def test_history_is_deleted_as_it_was_seen_and_nothing_else(run, world):
    old, young = life(run, 1, ended_days_ago=40), life(run, 2, ended_days_ago=1)
    for each in (old, young):
        world.put("Remediation", "shop", each.name, each.uid, **each.dump())
    seen = [Remediation.read(body) for key, body in world.objects.items() if key[0] == "Remediation"]
    world.change("Remediation", young.name, {"metadata": {"labels": {"looked": "at"}}})
    assert [each.name for each in await reap(world, seen, Needs({"o-1"}, {"p-1"}), NOW)] == [old.name]
    assert ("Remediation", "shop", old.name) not in world.objects
    assert ("Remediation", "shop", young.name) in world.objects
