"""Lists the cluster's nodes and their pods: each at most once a cycle, and only on demand."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from forestall.actions.pods import is_terminating, stays
from forestall.actions.protection import protected_from_above
from forestall.core.untrusted import get_path
from forestall.engine.concurrency import gather_all
from forestall.errors import ClusterError
from forestall.ports import Reader

Body = Mapping[str, Any]
_UNFINISHED: Final = "status.phase!=Succeeded,status.phase!=Failed"
_AT_ONCE: Final = 8


class NodeLister:
    """The nodes and pods of one cycle. What could not be listed stays unknown until the next cycle."""

    def __init__(self, cluster: Reader) -> None:
        self._cluster = cluster
        self._nodes: Sequence[Body] | None = None
        self._pods: dict[str, Sequence[Body] | None] = {}
        self._moving: dict[str, Sequence[Body] | None] = {}
        self._listed = False
        self._listing = asyncio.Lock()
        self._limit = asyncio.Semaphore(_AT_ONCE)

    def forget(self) -> None:
        """Begin a new cycle: drop what was listed."""
        self._listed = False
        self._nodes = None
        self._pods.clear()
        self._moving.clear()

    async def nodes(self) -> Sequence[Body] | None:
        """Return all nodes; None where they could not be listed."""
        async with self._listing:
            if not self._listed:
                self._nodes = await self._find("Node", "")
                self._listed = True
            return self._nodes

    async def pods(self, nodes: Iterable[str]) -> Mapping[str, Sequence[Body]] | None:
        """Return the pods of some nodes that have not finished, by node; None where any could not be listed."""
        names = list(nodes)
        async with self._listing:
            new = [name for name in names if name not in self._pods]
            results = await gather_all(self._find("Pod", f"spec.nodeName={name},{_UNFINISHED}") for name in new)
            self._pods.update(zip(new, results, strict=True))
            known_pods = {name: pods for name in names if (pods := self._pods[name]) is not None}
        return known_pods if len(known_pods) == len(set(names)) else None

    async def waiting(self) -> Sequence[Body] | None:
        """Return the pods that are not scheduled yet and may be; None where they could not be listed."""
        pending = await self.pods(("",))
        if pending is None:
            return None
        return [pod for pod in pending[""] if not is_terminating(pod) and not get_path(pod, "spec", "schedulingGates")]

    async def moving(self, nodes: Iterable[str]) -> Sequence[Body] | None:
        """Return the pods that a drain of these nodes evicts; None where that is unknown."""
        names = list(nodes)
        pods_of_nodes = await self.pods(names)
        if pods_of_nodes is None:
            return None
        async with self._listing:
            for name in names:
                if name not in self._moving:
                    self._moving[name] = await self._leaving(pods_of_nodes[name])
            known_pods = [pods for name in names if (pods := self._moving[name]) is not None]
        return [pod for pods in known_pods for pod in pods] if len(known_pods) == len(names) else None

    async def _leaving(self, pods: Iterable[Body]) -> Sequence[Body] | None:
        candidates = [pod for pod in pods if not stays(pod)]
        try:
            protected = await protected_from_above(self._cluster, candidates)
        except ClusterError:
            return None
        return [pod for pod in candidates if pod["metadata"]["uid"] not in protected]

    async def _find(self, kind: str, selector: str) -> Sequence[Body] | None:
        async with self._limit:
            try:
                return await self._cluster.find("v1", kind, field_selector=selector)
            except ClusterError:
                return None
