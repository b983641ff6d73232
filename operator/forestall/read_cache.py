"""A cache of reads from the API server, with the lifetime of its owner: a cycle for decisions, a turn for changes.

Decisions may use the state from the beginning of the cycle. Changes need a fresh read: each turn of a Remediation has
its own cache, which is empty when the turn begins and after each attempt to write. Besides, every write is conditional
on the resource version that was read, and pauses and the Remediation itself are read without a cache.
"""

from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from forestall.api.remediation import ObjectRef
from forestall.ports import Reader, ScaleSubresource, Served

T = TypeVar("T")

_ABOVE: Final = frozenset({"HorizontalPodAutoscaler", "ScaledObject", "PodDisruptionBudget"})
"""Kinds that refer to a workload: a change of the workload changes none of them."""


class ReadCache:
    """A `Reader` that reads each object and each list once. Errors are not cached.

    Two concurrent reads of the same object both go to the API server: no caller waits for the read of another, which
    may be cancelled.
    """

    def __init__(self, cluster: Reader) -> None:
        self._cluster = cluster
        self._answers: dict[Hashable, Any] = {}

    def forget(self) -> None:
        """Clear the cache. Reads in progress are not cached either."""
        self._answers = {}

    def forget_below(self, written: ObjectRef) -> None:
        """Clear what the write of an object may have changed: all but the lists of kinds that refer to workloads."""
        self._answers = {
            key: answer
            for key, answer in self._answers.items()
            if isinstance(key, tuple) and key[0] == "find" and key[2] in _ABOVE - {written.kind}
        }

    async def read(self, ref: ObjectRef) -> Mapping[str, Any]:
        """Return the object. `ref.uid`, where given, must match, else `NotFound`."""
        key = ("read", ref.api_version, ref.kind, ref.namespace, ref.name)
        body: Mapping[str, Any] = await self._once(key, lambda: self._cluster.read(ref))
        # The cached object may be an older or a newer one of the same name: ask the API server.
        return body if ref.uid in ("", body["metadata"]["uid"]) else await self._cluster.read(ref)

    async def find(
        self, api_version: str, kind: str, /, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return all objects of a kind."""
        selectors = {"label_selector": label_selector, "field_selector": field_selector}
        key = ("find", api_version, kind, namespace, label_selector, field_selector)
        return await self._once(key, lambda: self._cluster.find(api_version, kind, namespace, **selectors))

    async def serves(self, api_version: str, kind: str) -> Served:
        """Return how the API serves a kind; `NotFound` where it does not."""
        return await self._cluster.serves(api_version, kind)

    async def read_scale(self, ref: ObjectRef) -> ScaleSubresource:
        """Return the /scale subresource."""
        return await self._once(("scale", ref), lambda: self._cluster.read_scale(ref))

    async def _once(self, key: Hashable, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        answers = self._answers
        if key not in answers:
            answers[key] = await ask()
        return cast("T", answers[key])
