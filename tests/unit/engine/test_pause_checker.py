"""Which actions a pause stops, until when, and with which message."""

import pytest
from tests.support.memory_cluster import MemoryCluster

from forestall.api import API_VERSION
from forestall.api.times import stamp
from forestall.engine.pause_checker import PauseChecker
from forestall.errors import Unavailable
from forestall.registry import Registry

NOW = 1_000_000.0
SOON, PAST = stamp(NOW + 60), stamp(NOW - 60)


@pytest.fixture
def registry():
    return Registry()


def body_of(kind, name="pause", namespace=None, **spec):
    metadata = {"name": name, "namespace": namespace, "uid": f"{kind}/{namespace}/{name}", "resourceVersion": "1"}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture
def put(registry):
    return lambda kind, *args, **more: registry.put(kind, body_of(kind, *args, **more))


@pytest.fixture
def server():
    """The objects on the API server that no watch has delivered."""
    return MemoryCluster()


@pytest.fixture
def pause_checker(registry, server):
    return PauseChecker(registry, server)


@pytest.fixture
def why(pause_checker):
    return lambda namespace="shop", slo="checkout", policy="early", now=NOW: pause_checker.paused_by(
        namespace, slo, policy, now
    )


def test_nothing_is_stopped_without_a_pause(why, put):
    put("Guardrail", "cluster")
    put("Guardrail", "until-only", pauseUntil=SOON)
    assert why() is None


def test_pause_of_the_whole_cluster(why, put):
    put("Guardrail", paused=True, pauseUntil=SOON, pausedBy="jo", pauseReason="an incident")
    assert why() == f"everything is paused (Guardrail pause) until {SOON} by jo: an incident"
    assert why(now=NOW + 60) is None, "it expires by itself"


@pytest.mark.parametrize(
    ("spec", "stopped"),
    [
        ({}, {"shop/checkout/early", "shop/checkout/late", "shop/search/early"}),
        ({"objective": "checkout"}, {"shop/checkout/early", "shop/checkout/late"}),
        ({"policy": "early"}, {"shop/checkout/early", "shop/search/early"}),
        ({"until": SOON, "policy": "late"}, {"shop/checkout/late"}),
        ({"until": PAST}, set()),
    ],
)
def test_pause_of_a_namespace_and_of_its_objects(why, put, spec, stopped):
    put("Pause", namespace="shop", **spec)
    every = {"shop/checkout/early", "shop/checkout/late", "shop/search/early", "other/checkout/early"}
    assert {one for one in every if why(*one.split("/"))} == stopped


def test_one_of_several_pauses_is_enough(why, put):
    put("Pause", "a", "shop", until=PAST)
    put("Pause", "b", "shop", objective="checkout", by="kim")
    assert why() == "objective checkout is paused by kim"


def test_unreadable_pause_stops_everything_it_may_apply_to(why, put):
    put("Pause", "p", "shop", until="tomorrow")
    assert why() == "namespace shop is paused: Pause p is invalid"
    assert why("other") is None
    put("Guardrail", "g", budget={"actions": "many"})
    assert why("other") == "everything is paused: Guardrail g is invalid"


@pytest.mark.parametrize("until", ["tomorrow", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01", ""])
def test_invalid_end_of_a_pause_is_refused(why, put, until):
    put("Guardrail", paused=True, pauseUntil=until)
    assert why() == "everything is paused: Guardrail pause is invalid"


@pytest.mark.parametrize(
    "until", ["2100-01-01T00:00:00Z", "2100-01-01T01:00:00+01:00", "2100-01-01T00:00:00.123456789Z"]
)
def test_end_of_a_pause_may_have_any_time_zone(why, put, until):
    put("Guardrail", paused=True, pauseUntil=until)
    assert why() is not None
    assert why(now=4102444801.0) is None


ALL_OF_SHOP = body_of("Pause", "all", "shop", by="jo")
EVERYTHING = body_of("Guardrail", paused=True, pausedBy="jo")


@pytest.mark.parametrize("pause", [ALL_OF_SHOP, EVERYTHING], ids=["namespace", "cluster"])
async def test_pause_that_no_watch_has_delivered_is_listed(pause_checker, server, why, pause):
    assert await pause_checker.check("shop", "checkout", "early", NOW) is None
    server.insert(pause)
    assert why() is None
    held = await pause_checker.check("shop", "checkout", "early", NOW)
    assert (held.reason, held.message) == ("Paused", why())
    listed = len(server.requests)
    await pause_checker.check("shop", "checkout", "early", NOW)
    assert len(server.requests) == listed, "what is known to be paused is not asked about"


async def test_pause_of_another_namespace_does_not_apply(pause_checker, server):
    server.insert(ALL_OF_SHOP)
    assert await pause_checker.check("search", "search", "early", NOW) is None


async def test_nothing_is_changed_where_pauses_cannot_be_listed(pause_checker, server):
    server.fail("find", Unavailable("no answer within 4 s"))
    held = await pause_checker.check("shop", "checkout", "early", NOW)
    assert held.reason == "PauseUnknown"
    assert "no answer within 4 s" in held.message


async def test_by_a_clock_that_is_wrong_nothing_is_changed_and_nothing_asked(pause_checker, server, make_remediation):
    pause_checker.skewed = "an hour ahead"
    held = await pause_checker(make_remediation(), NOW)
    assert (held.reason, held.message, server.requests) == ("ClockSkew", "an hour ahead", [])


@pytest.mark.parametrize(("policy", "message"), [("early", "objective checkout is paused"), ("late", None)])
async def test_a_remediation_is_stopped_by_what_stops_its_objective_and_its_policy(
    pause_checker, server, make_remediation, policy, message
):
    assert await pause_checker(make_remediation(), NOW) is None
    assert {(request.kind, request.namespace) for request in server.requests} == {("Guardrail", ""), ("Pause", "shop")}
    server.insert(body_of("Pause", "p", "shop", objective="checkout", policy=policy))
    held = await pause_checker(make_remediation(), NOW)
    assert (held and held.message) == message


def test_message_of_a_pause_has_its_end_and_reason_where_they_are_known(why, put):
    put("Pause", "a", "shop", until=SOON)
    assert why() == f"namespace shop is paused until {SOON}"
    put("Guardrail", "g", paused=True, pauseReason="an incident")
    assert why() == "everything is paused (Guardrail g): an incident"
