"""The service: real requests on loopback, its responses and its metrics."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families
from shop.faults import Disks, DiskSettings, LeakSettings, Memory
from shop.generator import Plan, generate
from shop.pods import PodState
from shop.pool import Pod, Pool
from shop.service import Settings, Shop, application
from shop.traffic import Traffic

FAST = Settings(service_time=0.01, service_sigma=0.1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- the shop has no event for it
            await asyncio.sleep(0.001)


def make_pods(count: int, *, node: str = "node-1", ready: bool = True) -> dict[str, PodState]:
    return {f"uid-{n}": PodState(f"shop-{n}", node, ready) for n in range(count)}


async def scrape(client: TestClient[Any, Any]) -> dict[str, float]:
    text = await (await client.get("/metrics")).text()
    values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            values[f"{sample.name}{{{labels}}}"] = sample.value
    return values


async def test_slots_follow_the_ready_pods():
    shop = Shop(Settings(slots_per_pod=4))
    shop.follow({**make_pods(2), "late": PodState("shop-late", "node-2", ready=False)})
    assert (shop.pool.slots, shop.counts) == (8, (2, 1))
    shop.follow(make_pods(1))
    assert (shop.pool.slots, shop.counts) == (4, (1, 0))
    shop.follow({"uid-0": PodState("shop-0", "node-1", ready=False)})
    assert (shop.pool.slots, shop.counts) == (0, (0, 1))


async def test_requests_are_answered_and_counted():
    shop = Shop(FAST)
    shop.follow(make_pods(1))
    async with TestClient(TestServer(application(shop))) as client:
        answers = await asyncio.gather(*(client.get("/") for _ in range(10)))
        assert [answer.status for answer in answers] == [200] * 10
        values = await scrape(client)
    assert values["shop_arrivals_total{}"] == values["shop_requests_total{code=200}"] == 10
    assert values["shop_request_duration_seconds_count{code=200}"] == 10
    assert values["shop_request_duration_seconds_bucket{code=200,le=0.5}"] == 10
    assert values["shop_pods{state=ready}"] == 1
    assert values["shop_slots_busy{}"] == 0


async def test_a_request_that_waits_takes_longer():
    shop = Shop(Settings(slots_per_pod=1, service_time=0.05, service_sigma=0.0, patience=60.0))
    async with TestClient(TestServer(application(shop))) as client:
        requests = [asyncio.create_task(client.get("/")) for _ in range(3)]
        await until(lambda: shop.pool.queued == 3)
        shop.follow(make_pods(1))  # from now on one at a time
        await asyncio.gather(*requests)
        values = await scrape(client)
    assert values["shop_request_duration_seconds_sum{code=200}"] >= 0.05 + 0.10 + 0.15


async def test_without_pods_requests_wait_and_fail():
    shop = Shop(Settings(patience=0.05, longest_queue=1))
    async with TestClient(TestServer(application(shop))) as client:
        waiting = asyncio.create_task(client.get("/"))
        await until(lambda: shop.pool.queued == 1)
        assert (await client.get("/")).status == 503
        assert (await waiting).status == 504


async def test_pods_that_start_on_a_full_disk_fail_and_others_do_not():
    shop = Shop(replace(FAST, disk=DiskSettings(node="node-2", fills_in=0.001)))
    await asyncio.sleep(0.002)
    shop.follow({**make_pods(1), "other": PodState("shop-other", "node-2", ready=True)})
    assert [pod.broken for pod in shop.pool.pods.values()] == [False, True]
    async with TestClient(TestServer(application(shop))) as client:
        shop.pool.retire("shop-0")
        assert (await client.get("/")).status == 503
        values = await scrape(client)
    assert values["shop_pods_broken{}"] == 1
    assert values["shop_node_disk_used_ratio{node=node-2}"] == 1
    assert values["shop_node_disk_used_ratio{node=node-1}"] < 0.5


@pytest.mark.parametrize(("at", "used"), [(-5, 0.4), (0, 0.4), (30, 0.7), (60, 1.0), (80, 1.0), (100, 0.4)])
def test_a_disk_fills_evenly_until_it_is_cleaned_up(at, used):
    disks = Disks(DiskSettings(node="full", start=0.4, fills_in=60, cleaned_at=90), began=1000)
    assert disks.used("full", 1000 + at) == pytest.approx(used)
    assert disks.used("other", 1000 + at) == 0.4
    assert disks.full("full", 1000 + at) == (used == 1.0)


async def test_a_leaking_pod_is_killed_at_its_limit_and_restarts():
    pool = Pool(10, 1.0)
    settings = LeakSettings(base=100, limit=200, per_request=10, restart_seconds=0.01)
    memory, pod = Memory(pool, settings, random.Random(1)), Pod("a")
    memory.start(pod)
    pool.add(pod)
    served = 0
    while pool.slots:
        memory.served(pod)
        served += 1
    assert 6 <= served <= 21  # 95 to 105 MiB are left, 5 to 15 go with each request
    await until(lambda: pool.slots > 0)
    assert memory.used()[pod] < 110 * 1024 * 1024
    assert memory.kills == 1


async def test_the_load_generator_counts_responses():
    shop = Shop(replace(FAST, slots_per_pod=50))
    shop.follow(make_pods(1))
    plan = Plan(Traffic(1.0, (200.0, 200.0)), 0, 1, 0.5)
    async with TestServer(application(shop)) as server:
        tally = await generate(str(server.make_url("/")), plan)
    assert tally.sent == len(list(plan.arrivals())) > 50
    assert tally.codes == {"200": tally.sent}
    assert tally.not_sent == 0
