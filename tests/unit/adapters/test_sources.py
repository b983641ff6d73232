"""Configuring sources from MetricSources. The kind: one slow thing delays all."""

import asyncio

from tests.support.virtual_time import run

from forestall.adapters.sources import Sources
from forestall.registry import Registry


class Metrics:
    """Keeps what it is to ask."""

    def __init__(self):
        self.sources = {}

    def set_sources(self, sources):
        self.sources = sources


def test_hanging_read_of_a_secret_delays_no_other_source():
    async def read_secret(name, key):
        if name == "hangs":
            await asyncio.Event().wait()
        return f"{name}-{key}"

    async def story():
        registry, metrics = Registry(), Metrics()
        for name in ("hangs", *(f"well-{number}" for number in range(20))):
            registry.put("MetricSource", {
                "metadata": {"name": name, "uid": name, "generation": 1, "resourceVersion": "1"},
                "spec": {"url": "http://x", "auth": {"bearerToken": {"name": name, "key": "token"}}},
            })  # fmt: skip
        sources, loop = Sources(registry, read_secret, metrics), asyncio.get_running_loop()  # type: ignore[arg-type]
        await sources.refresh(0.0)
        assert loop.time() <= 3.0
        assert metrics.sources["hangs"].endpoint.credentials is None
        assert metrics.sources["well-1"].endpoint.credentials.token == "well-1-token"
        before = loop.time()
        await sources.refresh(1.0)
        assert loop.time() == before, "it is not read again at once"

    run(story())
