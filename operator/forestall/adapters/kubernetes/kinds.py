"""Discovers the kinds that the API server serves, with their paths and subresources."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from forestall.adapters.kubernetes.api import Api, segment
from forestall.adapters.kubernetes.names import check_namespace, check_version, is_label
from forestall.core.untrusted import mappings, string
from forestall.errors import NotFound

LOOK_AGAIN = 10.0
"""Seconds after which a kind that was not served is looked up again."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The path and the properties of one kind."""

    prefix: str
    plural: str
    namespaced: bool
    subresources: frozenset[str]

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Return the path of the objects in a namespace (in all where it is empty), or of one object.

        Raises:
            NotFound: no such object can exist.
        """
        if self.namespaced and namespace:
            check_namespace(namespace)
        parts = [self.prefix]
        if self.namespaced and namespace:
            parts += ["namespaces", segment(namespace)]
        parts += [self.plural, *([segment(name)] if name else []), *([subresource] if subresource else [])]
        return "/".join(parts)


class Kinds:
    """Caches the kinds by API version, and reads them again when one is missing."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._cache: dict[str, tuple[float, MappingProxyType[str, Kind]]] = {}
        self._asking = asyncio.Lock()

    async def find(self, api_version: str, kind: str) -> Kind:
        """Return the path and the properties of a kind.

        Raises:
            NotFound: the server does not serve it.
            ClusterError: the server could not be reached, or refused.
        """
        check_version(api_version)
        async with self._asking:
            queried_at, kinds = self._cache.get(api_version, (float("-inf"), MappingProxyType({})))
            if kind not in kinds and self._clock() - queried_at >= LOOK_AGAIN:
                kinds = await self._ask(api_version)
                self._cache[api_version] = (self._clock(), kinds)
        if kind not in kinds:
            raise NotFound(f"the cluster has no kind {kind} of {api_version}")
        return kinds[kind]

    def forget(self, api_version: str) -> None:
        """Drop a kind from the cache, because its path no longer exists."""
        self._cache.pop(api_version, None)

    async def _ask(self, api_version: str) -> MappingProxyType[str, Kind]:
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{segment(api_version)}"
        try:
            resources = mappings((await self._api.request("GET", prefix)).get("resources"))
        except NotFound:
            resources = []
        # An aggregated API server is somebody else's, too: what is no name is not served.
        named = [
            (resource, *string(resource.get("name")).partition("/"))
            for resource in resources
            if string(resource.get("kind"))
        ]
        subresources: dict[str, set[str]] = {}
        for _, plural, _, subresource in named:
            subresources.setdefault(plural, set()).update([subresource] if is_label(subresource) else [])
        return MappingProxyType(
            {
                resource["kind"]: Kind(
                    prefix, plural, resource.get("namespaced") is True, frozenset(subresources[plural])
                )
                for resource, plural, slash, _ in named
                if is_label(plural) and not slash
            }
        )
