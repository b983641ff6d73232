"""The shop's HTTP service and its metrics."""

import asyncio
import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shop.faults import Disks, DiskSettings, LeakSettings, Memory
from shop.pods import PodState
from shop.pool import Pod, PodDied, Pool, QueueFull, QueueTimeout

BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LAG_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Settings:
    """How the shop behaves. Times in seconds."""

    slots_per_pod: int = 4
    service_time: float = 0.1
    """Median of the time that a slot works on a request; log-normal, cut off at three times the median."""
    service_sigma: float = 0.3
    longest_queue: int = 400
    patience: float = 2.0
    seed: int = 1
    leak: LeakSettings = LeakSettings()
    disk: DiskSettings = DiskSettings()


class Shop:
    """The serving pods, their faults, and the metrics."""

    def __init__(self, settings: Settings, begins_in: float = 0.0) -> None:
        """Faults start `begins_in` seconds from now."""
        self._settings = settings
        self._rng = random.Random(settings.seed)  # noqa: S311 - service times, not secrets
        self.pool = Pool(settings.longest_queue, settings.patience)
        self.memory = Memory(self.pool, settings.leak, self._rng)
        self.disks = Disks(settings.disk, asyncio.get_running_loop().time() + begins_in)
        self._pods: dict[str, Pod] = {}
        self._pod_states: Mapping[str, PodState] = {}
        self._draining = False
        self.registry = CollectorRegistry()
        self._arrivals = Counter(
            "shop_arrivals", "Requests that arrived, also those turned away.", registry=self.registry
        )
        self._requests = Counter("shop_requests", "Requests answered.", ["code"], registry=self.registry)
        self._duration = Histogram(
            "shop_request_duration_seconds",
            "From a request's arrival to its answer.",
            ["code"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._lag = Histogram(
            "shop_loop_lag_seconds",
            "How late the service's own event loop was: above some 50 ms it measures the machine, not the shop.",
            buckets=LAG_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_Gauges(self))

    def follow(self, pod_states: Mapping[str, PodState]) -> None:
        """Update the pods: ready ones serve, others do not."""
        self._pod_states = pod_states
        for uid in [uid for uid in self._pods if not (uid in pod_states and pod_states[uid].ready)]:
            pod = self._pods.pop(uid)
            self.pool.retire(pod.name)
            self.memory.forget(pod)
        now = asyncio.get_running_loop().time()
        for uid, state in pod_states.items():
            if state.ready and uid not in self._pods:
                broken = self.disks.full(state.node, now)
                pod = Pod(state.name, state.node, self._settings.slots_per_pod, broken=broken)
                self._pods[uid] = pod
                self.memory.start(pod)
                self.pool.add(pod)

    def drain(self) -> None:
        """Become unready; requests that still arrive are served."""
        self._draining = True

    @property
    def counts(self) -> tuple[int, int]:
        """Numbers of ready pods and of starting pods."""
        ready = sum(state.ready for state in self._pod_states.values())
        return ready, len(self._pod_states) - ready

    @property
    def nodes(self) -> set[str]:
        """The known nodes."""
        names = {state.node for state in self._pod_states.values() if state.node}
        return names | ({self._settings.disk.node} if self._settings.disk.node else set())

    async def answer(self, request: web.Request) -> web.Response:
        """Serve one request."""
        del request
        began = time.perf_counter()
        self._arrivals.inc()
        try:
            code, text = await self._serve()
        except QueueFull:
            code, text = 503, "too busy\n"
        except QueueTimeout:
            code, text = 504, "nobody was free in time\n"
        except PodDied:
            code, text = 502, "the pod died\n"
        self._requests.labels(code).inc()
        self._duration.labels(code).observe(time.perf_counter() - began)
        return web.Response(status=code, text=text)

    async def _serve(self) -> tuple[int, str]:
        lease = await self.pool.acquire()
        try:
            await lease.work(self._service_time())
        finally:
            self.pool.release(lease)
        self.memory.served(lease.pod)
        if lease.pod.broken:
            return 503, "no space left on device\n"
        return 200, "thank you\n"

    def _service_time(self) -> float:
        median = self._settings.service_time
        return min(median * math.exp(self._rng.gauss(0, self._settings.service_sigma)), 3 * median)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer a scrape."""
        del request
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def live(self, request: web.Request) -> web.Response:
        """Answer a liveness probe: the event loop runs."""
        del request
        return web.Response(text="live\n")

    async def ready(self, request: web.Request) -> web.Response:
        """Answer a readiness probe: a pod serves, and the process is not terminating."""
        del request
        if self._draining:
            return web.Response(status=503, text="it ends\n")
        if not self.pool.pods:
            return web.Response(status=503, text="no pod serves\n")
        return web.Response(text="ready\n")

    async def measure_lag(self) -> None:
        """Measure the lag of the event loop forever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self._lag.observe(max(0.0, loop.time() - due))


class _Gauges(Collector):
    """Gauges that are read at a scrape."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def collect(self) -> Iterator[GaugeMetricFamily]:
        shop, pool = self._shop, self._shop.pool
        ready, starting = shop.counts
        pods = GaugeMetricFamily("shop_pods", "Pods of the Deployment.", labels=["state"])
        pods.add_metric(["ready"], ready)
        pods.add_metric(["starting"], starting)
        yield pods
        yield GaugeMetricFamily("shop_slots", "Worker slots of the pods that serve.", pool.slots)
        yield GaugeMetricFamily("shop_slots_busy", "Worker slots that work on a request.", pool.busy)
        yield GaugeMetricFamily("shop_queue_length", "Requests that wait for a slot.", pool.queued)
        yield GaugeMetricFamily(
            "shop_pods_broken", "Pods that fail all requests.", sum(p.broken for p in pool.pods.values())
        )
        memory = GaugeMetricFamily("shop_pod_memory_bytes", "Memory that a pod uses.", labels=["pod"])
        for pod, used in shop.memory.used().items():
            memory.add_metric([pod.name], used)
        yield memory
        disk = GaugeMetricFamily("shop_node_disk_used_ratio", "Share of a node's disk that is used.", labels=["node"])
        now = asyncio.get_running_loop().time()
        for node in sorted(shop.nodes):
            disk.add_metric([node], shop.disks.used(node, now))
        yield disk


def application(shop: Shop) -> web.Application:
    """Return the web application: the shop at `/`, its metrics at `/metrics`, probes at `/livez` and `/readyz`."""
    app = web.Application()
    app.router.add_get("/", shop.answer)
    app.router.add_get("/metrics", shop.metrics)
    app.router.add_get("/livez", shop.live)
    app.router.add_get("/readyz", shop.ready)
    return app
