"""The probes and the metrics, over HTTP."""

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from forestall.web import AtRisk, Health, Telemetry, WebServer
from forestall.web.telemetry import MAX_SERIES, MAX_WORDS


@dataclass
class Facts:
    now: float = 100.0
    unsynced: tuple[str, ...] = ()
    electing: bool = True
    leading: bool = False
    told: dict[str, int] = field(default_factory=dict)


@pytest.fixture
def facts() -> Facts:
    return Facts()


@pytest.fixture
def health(facts: Facts) -> Health:
    return Health(30, lambda: facts.unsynced, lambda: facts.electing, clock=lambda: facts.now)


@pytest.fixture
def telemetry(facts: Facts) -> Telemetry:
    return Telemetry("1.2.3", lambda: facts.leading)


@pytest.fixture
async def url(health: Health, telemetry: Telemetry) -> AsyncIterator[str]:
    async with WebServer(health, telemetry, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.port}"


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


def samples(telemetry: Telemetry, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(telemetry.exposition()[0].decode())
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


async def test_cycles_that_are_given_up_are_told_though_the_process_moves(url, facts, health):
    """Kind: no share per namespace. Cycles were given up for minutes, and `/livez` stayed green."""
    health.missed("the last was given up after 120 s")
    assert (await get(f"{url}/readyz"))[0] == 200
    for _ in range(8):
        facts.now += 120
        health.missed("the last was given up after 120 s")
    assert (await get(f"{url}/livez"))[0] == 200
    status, text = await get(f"{url}/readyz")
    assert (status, text) == (
        503,
        "9 cycles in a row did not come to their end, for 960 s: the last was given up after 120 s\n",
    )
    health.missed("the last was given up after 120 s")
    status, text = await get(f"{url}/livez")
    assert status == 503
    assert text.startswith("10 cycles in a row")
    health.beat()
    assert (await get(f"{url}/livez"))[0] == (await get(f"{url}/readyz"))[0] == 200


async def test_short_cycles_that_fail_are_not_a_reason_to_restart_at_once(url, facts, health):
    for _ in range(50):
        facts.now += 1
        health.missed("the last failed with ValueError")
    assert (await get(f"{url}/livez"))[0] == 200
    assert (await get(f"{url}/readyz"))[0] == 503


def test_cycles_that_are_given_up_and_shares_that_are_used_up_are_metrics(telemetry):
    telemetry.cycle_failed()
    telemetry.cycle_failed(given_up=True)
    assert samples(telemetry, "forestall_cycle_failures_total") == {(): 2.0}
    assert samples(telemetry, "forestall_cycles_given_up_total") == {(): 1.0}
    assert samples(telemetry, "forestall_last_cycle_timestamp_seconds") == {(): 0.0}
    telemetry.cycle(1.0)
    assert samples(telemetry, "forestall_last_cycle_timestamp_seconds")[()] > 1e9
    telemetry.shares({"greedy": 3, "other": 1})
    assert samples(telemetry, "forestall_share_exhausted", "namespace") == {("greedy",): 3.0, ("other",): 1.0}
    telemetry.shares({})
    assert samples(telemetry, "forestall_share_exhausted", "namespace") == {}


async def test_lives_while_cycles_come(url, facts, health):
    assert await get(f"{url}/livez") == (200, "ok\n")
    facts.now += 180
    assert (await get(f"{url}/livez"))[0] == 200
    facts.now += 1
    status, text = await get(f"{url}/livez")
    assert status == 503
    assert text == "no cycle for 181 s, one is due every 30 s\n"
    health.beat()
    assert (await get(f"{url}/livez"))[0] == 200


async def test_is_ready_when_all_is_read_and_the_lease_loop_moves(url, facts):
    facts.unsynced = ("Guardrail", "Namespace")
    assert await get(f"{url}/readyz") == (503, "not read yet: Guardrail, Namespace\n")
    facts.unsynced, facts.electing = (), False
    assert await get(f"{url}/readyz") == (503, "the lease loop does not move\n")
    facts.electing = True
    assert await get(f"{url}/readyz") == (200, "ok\n")


async def test_a_standby_is_ready(url, facts):
    facts.leading = False
    assert (await get(f"{url}/readyz"))[0] == 200


async def test_serves_metrics(url, facts):
    facts.leading = True
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        assert answer.content_type == "text/plain"
        text = await answer.text()
    assert 'forestall_build_info{version="1.2.3"} 1.0' in text
    assert "forestall_leader 1.0" in text
    assert "process_resident_memory_bytes" in text


async def test_says_when_the_port_is_taken(health, telemetry):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="address already in use"):
            async with WebServer(health, telemetry, "127.0.0.1", taken.getsockname()[1]):
                pass


def test_counts(telemetry):
    telemetry.cycle(0.2)
    telemetry.cycle_failed()
    telemetry.decision("Hold", "Cooldown")
    telemetry.decision("Hold", "Cooldown")
    telemetry.remediation("Scale", "Succeeded")
    telemetry.source_request("main")
    telemetry.source_failure("main", "SourceDown")
    assert samples(telemetry, "forestall_cycle_seconds_count") == {(): 1}
    assert samples(telemetry, "forestall_cycle_failures_total") == {(): 1}
    assert samples(telemetry, "forestall_decisions_total", "verdict", "reason") == {("Hold", "Cooldown"): 2}
    assert samples(telemetry, "forestall_remediations_total", "action", "outcome") == {("Scale", "Succeeded"): 1}
    assert samples(telemetry, "forestall_source_requests_total", "source") == {("main",): 1}
    assert samples(telemetry, "forestall_source_failures_total", "source", "reason") == {("main", "SourceDown"): 1}


def test_tells_which_sources_answer_and_counts_those_that_were_late(telemetry):
    """The kind: one slow thing in a cycle delays all. The cycle goes on without it, and somebody must be told."""
    telemetry.sources({"main": True, "far": False}, ["far"])
    telemetry.sources({"main": True, "far": False}, ["far", "main"])
    assert samples(telemetry, "forestall_source_up", "source") == {("main",): 1, ("far",): 0}
    assert samples(telemetry, "forestall_source_late_total", "source") == {("main",): 1, ("far",): 2}
    telemetry.sources({"main": True}, [])
    assert samples(telemetry, "forestall_source_up", "source") == {("main",): 1}


def test_every_state_is_told_also_when_nobody_is_in_it(telemetry):
    telemetry.objectives({"AtRisk": 2}, ())
    assert samples(telemetry, "forestall_objectives", "state") == {
        ("Healthy",): 0,
        ("Exhausted",): 0,
        ("AtRisk",): 2,
        ("Breached",): 0,
        ("Unknown",): 0,
    }


def test_an_objective_that_is_gone_is_told_no_more(telemetry):
    telemetry.objectives({}, [AtRisk("shop", "checkout", "cpu", 0.7), AtRisk("shop", "search", "cpu", 0.1)])
    telemetry.objectives({}, [AtRisk("shop", "search", "cpu", 0.2)])
    assert samples(telemetry, "forestall_breach_probability", "namespace", "objective", "indicator") == {
        ("shop", "search", "cpu"): 0.2
    }


def test_of_very_many_probabilities_the_highest_are_told(telemetry):
    telemetry.objectives({}, [AtRisk("shop", str(number), "cpu", number / 1e5) for number in range(MAX_SERIES + 10)])
    told = samples(telemetry, "forestall_breach_probability", "namespace", "objective", "indicator")
    assert len(told) == MAX_SERIES
    assert min(told.values()) == 10 / 1e5


def test_reasons_are_bounded(telemetry):
    for number in range(MAX_WORDS + 7):
        telemetry.decision("Hold", f"Reason{number}")
    told = samples(telemetry, "forestall_decisions_total", "verdict", "reason")
    assert len(told) == MAX_WORDS + 1
    assert told["Hold", "Other"] == 7


def test_invalid_objects_by_kind(telemetry):
    telemetry.invalid({"Guardrail": 1})
    telemetry.invalid({"RemediationPolicy": 2})
    assert samples(telemetry, "forestall_invalid_objects", "kind") == {("RemediationPolicy",): 2}


def test_a_second_operator_in_the_process_has_metrics_of_its_own(telemetry):
    telemetry.decision("Act", "X")
    assert samples(Telemetry("1"), "forestall_decisions_total", "verdict", "reason") == {}


async def test_clocks_that_are_apart_are_told_by_a_process_that_does_its_work(url, health, telemetry):
    health.note = "this process's clock is 1h behind those of the API server and of metric source main"
    assert await get(f"{url}/readyz") == (200, f"ok\n{health.note}\n")
    assert await get(f"{url}/livez") == (200, "ok\n")
    telemetry.clocks({"the API server": 3600.0})
    assert samples(telemetry, "forestall_clock_offset_seconds", "server") == {("the API server",): 3600.0}
    telemetry.clocks({})
    assert samples(telemetry, "forestall_clock_offset_seconds", "server") == {}
