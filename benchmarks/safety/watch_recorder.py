"""Records every state of objects, from watches of the API server."""

import asyncio
import json
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from forestall.adapters.kubernetes import Access

Body = dict[str, Any]


class WatchRecorder:
    """Watches all objects under some paths from its start on; it misses no state."""

    def __init__(self, access: Access, *paths: str) -> None:
        self._config = access.rest_config()
        self._paths = paths
        self.states: dict[str, list[Body]] = defaultdict(list)
        """States by `Kind/namespace/name`, in order; the last state of a deleted object has `deleted` set."""
        self._session: aiohttp.ClientSession | None = None

    def changes(self, key: str, of: Callable[[Body], Any]) -> list[Any]:
        """Return the successive values of a part of an object, without repetitions."""
        values: list[Any] = []
        for body in self.states[key]:
            value = of(body)
            if not values or values[-1] != value:
                values.append(value)
        return values

    async def settle(self, seconds: float = 20.0) -> None:
        """Wait until all changes so far are recorded."""
        assert self._session is not None
        async with asyncio.timeout(seconds):
            for path in self._paths:
                for item in (await self._list(path))["items"]:
                    while not self._has_recorded(item):  # noqa: ASYNC110 -- the watch is a task of its own
                        await asyncio.sleep(0.02)

    def _has_recorded(self, item: Body) -> bool:
        versions = (body["metadata"] for states in self.states.values() for body in states[-1:])
        newest = {metadata["uid"]: int(metadata["resourceVersion"]) for metadata in versions}
        return newest.get(item["metadata"]["uid"], 0) >= int(item["metadata"]["resourceVersion"])

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["WatchRecorder"]:
        """Watch while the body runs."""
        context = ssl.create_default_context(cafile=self._config.ca_path)
        if self._config.certificate_path:
            context.load_cert_chain(self._config.certificate_path, self._config.private_key_path)
        headers = {"Authorization": f"Bearer {self._config.token}"} if self._config.token else {}
        async with aiohttp.ClientSession(
            self._config.server,
            connector=aiohttp.TCPConnector(ssl=context),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=2**24,
        ) as self._session:
            tasks = [asyncio.create_task(self._watch(path, await self._begin(path))) for path in self._paths]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _list(self, path: str) -> Body:
        assert self._session is not None
        async with asyncio.timeout(20):
            while True:
                async with self._session.get(path) as answer:
                    if answer.status != 429:  # a new kind is not served at once
                        answer.raise_for_status()
                        listed: Body = await answer.json()
                        return listed
                await asyncio.sleep(0.2)

    async def _begin(self, path: str) -> str:
        listed = await self._list(path)
        kind = listed["kind"].removesuffix("List")
        for item in listed["items"]:
            self.record({"kind": kind, **item})
        return str(listed["metadata"]["resourceVersion"])

    async def _watch(self, path: str, version: str) -> None:
        assert self._session is not None
        while True:
            query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
            async with self._session.get(path, params=query) as answer:
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise RuntimeError(f"the watch of {path} lost its history: {event['object']}")
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self.record({**event["object"], **({"deleted": True} if event["type"] == "DELETED" else {})})

    def record(self, body: Body) -> None:
        """Record a state."""
        metadata = body["metadata"]
        self.states[f"{body['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"].append(body)
