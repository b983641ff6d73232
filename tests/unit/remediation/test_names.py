"""The names of Remediations, and the times in them."""

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forestall.api.times import seconds, stamp
from forestall.remediation import name_of


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


def test_the_name_of_an_intent_is_the_same_in_every_version(run):
    """By another name a later version would do again what an earlier one has decided in the same episode."""
    assert name_of(run.intend()) == "checkout-scale-0418aecf905d"


@given(at=st.floats(0, 4e9))
def test_times_come_back_as_they_were_written(at):
    again = seconds(stamp(at))
    assert again is not None
    assert abs(again - at) < 1e-5


def test_what_is_no_time_is_none():
    assert seconds("") is None
    assert seconds("yesterday") is None
