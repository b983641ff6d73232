"""What the engine keeps in memory from one cycle to the next."""

import gc
from collections import deque
from collections.abc import Iterator
from typing import Any

from tests.support.harness import NAMESPACE, shop

from forestall.errors import NotFound

GONE = "bank"
"""The namespace that is deleted, and a part of the UIDs of what was in it."""
INDICATORS: tuple[dict[str, Any], ...] = (
    {"ratio": {"bad": 'requests_total{code="500"}', "total": "requests_total"}},
    {"threshold": {"query": "queue", "operator": "lt", "value": 5}},
)
"""One that counts events, and one whose window is read in pieces."""
BOUNDED = (
    "Engine > dict > Registry > dict > _ObjectStore > OrderedDict:",  # the last UIDs that were deleted
    "Engine > dict > StatusPublisher > Permissions > dict > Right:",  # what was reviewed, for some minutes
)
"""What is kept of deleted objects, in limits."""


def texts(root: object) -> Iterator[str]:
    """Yield all strings that an object of the operator leads to, by its own objects and containers alone: each after
    the types on the way to it.
    """
    seen, found = {id(root)}, [(root, type(root).__name__)]
    while found:
        holder, way = found.pop()
        # The collector passes over the keys of a dictionary that are strings.
        for item in (*gc.get_referents(holder), *(holder if isinstance(holder, dict) else ())):
            if isinstance(item, str):
                yield f"{way}: {item}"
            elif id(item) not in seen and (
                isinstance(item, dict | list | tuple | set | frozenset | deque)
                or type(item).__module__.startswith("forestall.")
            ):
                seen.add(id(item))
                found.append((item, f"{way} > {type(item).__name__}"))


async def test_nothing_of_a_deleted_namespace_stays_in_memory():
    """A memory that is never emptied grows for as long as the operator runs."""
    h = shop()
    h.node("n1")
    h.apply("NotificationChannel", "pager", {"type": "Slack", "url": "https://example.com/"})
    h.apply("Namespace", GONE)
    memory: dict[str, Any] = {"name": "memory", "query": "memory", "limit": 100, "horizon": "5m", "per": "node"}
    for number, indicator in enumerate(INDICATORS):
        name = f"{GONE}-{number}"
        h.deployment(name, namespace=GONE)
        h.objective(name, GONE, leadingIndicators=[memory], indicator=indicator)
    h.deployment(f"{GONE}-calm", namespace=GONE)
    h.objective(f"{GONE}-calm", GONE, leadingIndicators=[])
    h.policy(f"{GONE}-early", GONE, actions=[{"restart": {"timing": "LowTraffic"}}, {"notify": {"channel": "pager"}}])
    h.script.say_each("memory", "node", {"n1": 300.0})
    await h.cycle(3)
    await h.engine._traffic.of(h.slo(f"{GONE}-0", GONE), h.now)  # as for a restart that may wait
    assert any(GONE in text for text in texts(h.engine))
    h.cluster.objects = {key: body for key, body in h.cluster.objects.items() if GONE not in (key[1], key[2])}
    h.cluster.fail("create", NotFound(f"namespaces {GONE} not found"), "Remediation")
    await h.cycle(3)
    assert [text for text in texts(h.engine) if GONE in text and not text.startswith(BOUNDED)] == []
    assert any(NAMESPACE in text for text in texts(h.engine))
