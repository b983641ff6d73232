"""What was read of the cluster, kept for as long as its owner says: a cycle for deciding, a turn for changing.

Deciding may rest on what was true when the cycle began. What a change rests on is read anew: each turn of a Remediation
has a cache of its own, which is empty when the turn begins and after each attempt to write. Besides, every write is
conditional on the version that was read, pauses are asked for past any cache, and so is the Remediation itself.
"""

from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from forestall.api.remediation import ObjectRef
from forestall.ports import Reader, Scale, Served

T = TypeVar("T")

_ABOVE: Final = frozenset({"HorizontalPodAutoscaler", "ScaledObject", "PodDisruptionBudget"})
"""Kinds that point at a workload: a change of the workload changes none of them."""


class ReadCache:
    """Implements `Reader`: reads each object and each list once. What fails is not kept.

    Two that ask for the same at the same time may both read: an answer is not waited for on behalf of somebody else,
    who may give up.
    """

    def __init__(self, cluster: Reader) -> None:
        self._cluster = cluster
        self._answers: dict[Hashable, Any] = {}

    def forget(self) -> None:
        """Read everything anew from now on. What is being read just now is not kept either."""
        self._answers = {}

    def forget_below(self, written: ObjectRef) -> None:
        """Read anew what the write of an object may have changed: all but the lists of what points at workloads."""
        self._answers = {
            key: answer
            for key, answer in self._answers.items()
            if isinstance(key, tuple) and key[0] == "find" and key[2] in _ABOVE - {written.kind}
        }

    async def read(self, ref: ObjectRef) -> Mapping[str, Any]:
        """Return the object. `ref.uid`, where given, must match, else `NotFound`."""
        key = ("read", ref.api_version, ref.kind, ref.namespace, ref.name)
        body: Mapping[str, Any] = await self._once(key, lambda: self._cluster.read(ref))
        # Another one of the name may have been read, or a newer one be there: the API server says.
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

    async def read_scale(self, ref: ObjectRef) -> Scale:
        """Return the /scale subresource."""
        return await self._once(("scale", ref), lambda: self._cluster.read_scale(ref))

    async def _once(self, key: Hashable, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        answers = self._answers
        if key not in answers:
            answers[key] = await ask()
        return cast("T", answers[key])
