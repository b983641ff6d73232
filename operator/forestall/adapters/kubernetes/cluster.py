"""Implements the port `Cluster` with the Kubernetes API."""

import asyncio
import base64
import binascii
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from forestall.adapters.kubernetes.api import (
    APPLY_PATCH,
    JSON,
    MERGE_PATCH,
    METADATA_LIST,
    TIMEOUT,
    Api,
    Expired,
    UnknownPath,
)
from forestall.adapters.kubernetes.events import Recorder
from forestall.adapters.kubernetes.kinds import Kinds
from forestall.adapters.kubernetes.names import check_answer, check_name, check_namespace
from forestall.adapters.kubernetes.reviews import Reviews
from forestall.api.meta import API_VERSION
from forestall.api.remediation import ObjectRef
from forestall.core.untrusted import get_path, integer, string
from forestall.errors import ClusterError, LostLease, NotFound, Unavailable, Unreadable
from forestall.ports import MANAGER, Event, Patch, Right, ScaleSubresource, Served

PAGE = 500
"""How many objects of a list are requested in one page: whole lists of large clusters take too much memory on both
sides.
"""
LIST_TIMEOUT = 20.0
"""The timeout (s) for a whole list with all its pages."""


class KubernetesCluster:
    """Implements the `Cluster` port.

    Each request ends within the `Api`'s timeout. No write is repeated. Each write checks the fence right before it is
    sent, and ends before the lease expires.
    """

    def __init__(
        self,
        api: Api,
        recorder: Recorder,
        namespace: str,
        fence: Callable[[], float] = lambda: math.inf,
        manager: str = MANAGER,
    ) -> None:
        """Make the cluster of an API server.

        `namespace` is the operator's own, with the Secrets of metric sources. `fence` returns for how many seconds this
        process may still write, and raises `LostLease` when it may not; without one it always may. `manager` is the
        field manager of the writes.
        """
        self._api = api
        self._kinds = Kinds(api)
        self._reviews = Reviews(api, self._kinds)
        self._recorder = recorder
        self._namespace = namespace
        self._fence = fence
        self._manager = manager

    async def read(self, ref: ObjectRef) -> Mapping[str, Any]:
        """Return the object. `ref.uid`, where given, must match, else `NotFound`."""
        return _with_same_uid(ref, await self._request("GET", ref))

    async def find(
        self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return all objects of a kind, read page by page; in all namespaces when `namespace` is empty."""
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        query = {name: selector for name, selector in selectors.items() if selector}
        return [
            {**item, "apiVersion": api_version, "kind": kind}
            for item in await self._list(api_version, kind, namespace, query, JSON)
        ]

    async def find_metadata(
        self, api_version: str, kind: str, namespace: str = "", *, field_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return the `metadata` of all objects of a kind, read page by page and never from a cache of the server's."""
        query = {"fieldSelector": field_selector} if field_selector else {}
        return [item["metadata"] for item in await self._list(api_version, kind, namespace, query, METADATA_LIST)]

    async def uids(self, api_version: str, kind: str) -> frozenset[str]:
        """Return the UIDs of all objects of a kind, reading no more of them than their metadata."""
        items = await self._list(api_version, kind, "", {}, METADATA_LIST)
        return frozenset(str(item["metadata"]["uid"]) for item in items)

    async def serves(self, api_version: str, kind: str) -> Served:
        """Return the resource that serves a kind; `NotFound` if the API does not serve it."""
        kind_served = await self._kinds.find(api_version, kind)
        return Served(kind_served.plural, kind_served.namespaced)

    async def refusal(self, right: Right) -> str | None:
        """Return the API server's message that the operator lacks a permission; None where it has it."""
        return await self._reviews.refusal(right)

    async def read_scale(self, ref: ObjectRef) -> ScaleSubresource:
        """Return the /scale subresource of the object; `NotFound` where the kind has none."""
        body = await self._request("GET", ref, "scale")
        return _scale(ref, _with_same_uid(ref, body))

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str) -> ScaleSubresource:
        """Set the replicas; `Conflict` unless the object still has `resource_version`."""
        patch = {"metadata": _precondition(ref, resource_version), "spec": {"replicas": replicas}}
        return _scale(ref, await self._request("PATCH", ref, "scale", body=patch, content_type=MERGE_PATCH))

    async def patch(self, ref: ObjectRef, patch: Patch, resource_version: str) -> Mapping[str, Any]:
        """Merge-patch the object as the operator; `Conflict` unless it still has `resource_version`."""
        metadata = {**patch.get("metadata", {}), **_precondition(ref, resource_version)}
        return await self._request("PATCH", ref, body={**patch, "metadata": metadata}, content_type=MERGE_PATCH)

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create the object; `Conflict` where the name exists."""
        metadata = body["metadata"]
        ref = ObjectRef(
            api_version=body["apiVersion"],
            kind=body["kind"],
            namespace=metadata.get("namespace") or "",
            name=metadata["name"],
        )
        return await self._request("POST", ref, body=body)

    async def delete(self, ref: ObjectRef, resource_version: str) -> None:
        """Delete the object; `Conflict` unless it still has `resource_version`, `NotFound` where it is deleted
        already.
        """
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": _precondition(ref, resource_version)}
        await self._request("DELETE", ref, body=options)

    async def evict(self, pod: ObjectRef) -> None:
        """Evict the pod; `Throttled` while a PodDisruptionBudget does not allow it, `NotFound` where it is deleted.

        `pod.uid` is required: `Conflict` where another pod has the name now.
        """
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": pod.namespace, "name": pod.name},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        await self._request("POST", pod, "eviction", body=body)

    async def replace_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str
    ) -> Mapping[str, Any]:
        """Replace the status; `Conflict` unless the object still has `resource_version`."""
        body = _identity(ref, resource_version) | {"status": status}
        return await self._request("PUT", ref, "status", body=body)

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str) -> Mapping[str, Any]:
        """Apply the status by server-side apply, as the only manager of all its fields.

        The API server checks no UID when it applies to a subresource, so the resource version identifies the object.
        """
        body = _identity(ref, resource_version) | {"status": _without_empty_maps(status)}
        query = {"force": "true"}
        return await self._request("PATCH", ref, "status", body=body, content_type=APPLY_PATCH, query=query)

    async def record(self, event: Event) -> None:
        """Record a Kubernetes Event in the background; a repetition within minutes only increases its count.

        A process that does not lead records nothing.
        """
        with contextlib.suppress(LostLease):
            self._fence()
            self._recorder.record(event)

    async def read_secret(self, name: str, key: str) -> str:
        """Return the text under a key of a Secret in the operator's own namespace.

        Raises:
            NotFound: the Secret, or the key in it, does not exist.
            ClusterError: it can't be read, or is not UTF-8 text.
        """
        ref = ObjectRef(api_version="v1", kind="Secret", namespace=self._namespace, name=name)
        data = (await self._request("GET", ref)).get("data") or {}
        if key not in data:
            raise NotFound(f"the Secret {self._namespace}/{name} has no key {key}")
        try:
            return base64.b64decode(data[key]).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ClusterError(f"{key} of the Secret {self._namespace}/{name} is not text") from error

    async def _request(
        self,
        method: str,
        ref: ObjectRef,
        subresource: str = "",
        *,
        body: Any = None,
        content_type: str = JSON,
        query: Mapping[str, str | int] | None = None,
    ) -> dict[str, Any]:
        kind = await self._kinds.find(ref.api_version, ref.kind)
        if method == "POST" and not subresource and not ref.name:
            raise ClusterError(f"a {ref.kind} without a name is not made")
        check_name(ref.api_version, ref.kind, ref.name)
        if kind.namespaced:
            check_namespace(ref.namespace)
        elif ref.namespace:  # whether there is one of this name is not for people of a namespace to know
            raise NotFound(f"{ref.kind} {_name(ref)} does not exist: a {ref.kind} is in no namespace")
        if subresource and subresource not in kind.subresources:
            raise NotFound(f"{ref.kind} of {ref.api_version} has no /{subresource}")
        path = kind.path(ref.namespace, "" if method == "POST" and not subresource else ref.name, subresource)
        if method not in ("GET", "DELETE"):
            query = {**(query or {}), "fieldManager": self._manager}
            if ref.api_version == API_VERSION:  # else an older definition drops fields, and a step is not written down
                query["fieldValidation"] = "Strict"
        seconds = TIMEOUT if method == "GET" else min(TIMEOUT, self._fence())
        try:
            answer = await self._api.request(
                method, path, query=query, body=body, content_type=content_type, timeout=seconds
            )
        except UnknownPath:
            self._kinds.forget(ref.api_version)
            raise
        # The answer of the first two is how it went; a review is kept nowhere, and has neither name nor UID.
        if method != "DELETE" and subresource != "eviction" and not ref.kind.endswith("Review"):
            check_answer(ref, answer, namespaced=kind.namespaced, scale=subresource == "scale")
            if method != "GET" and ref.uid not in ("", answer["metadata"]["uid"]):
                raise Unavailable(f"{ref.kind} {_name(ref)}: the answer is about another object of this name")
        return answer

    async def _list(
        self, api_version: str, kind: str, namespace: str, query: Mapping[str, str | int], accept: str
    ) -> list[dict[str, Any]]:
        """Return all items of a list; begin again when the continue token has expired."""
        kind_served = await self._kinds.find(api_version, kind)
        path = kind_served.path(namespace)
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                while True:
                    try:
                        listed = [item async for item in self._pages(path, query, accept)]
                        return _of_namespace(listed, namespace if kind_served.namespaced else "", path)
                    except Expired:
                        continue
        except TimeoutError as error:
            raise Unavailable(f"GET {path}: the list was not read within {LIST_TIMEOUT:g} s") from error
        except UnknownPath:
            self._kinds.forget(api_version)
            raise

    async def _pages(self, path: str, query: Mapping[str, str | int], accept: str) -> AsyncIterator[dict[str, Any]]:
        token = ""
        while True:
            page = {**query, "limit": PAGE, **({"continue": token} if token else {})}
            answer = await self._api.request("GET", path, query=page, accept=accept)
            for item in _items(answer, path):
                yield item
            token = get_path(answer, "metadata", "continue") or ""
            if not token:
                return
            if not isinstance(token, str):
                raise Unavailable(f"GET {path}: the list can't be read on")


def _with_same_uid(ref: ObjectRef, body: dict[str, Any]) -> dict[str, Any]:
    """Return `body` if its UID is that of `ref`, and not of a later object of the same name."""
    if ref.uid and body["metadata"]["uid"] != ref.uid:
        raise NotFound(f"{ref.kind} {_name(ref)} was deleted, and another one of the same name made since")
    return body


def _name(ref: ObjectRef) -> str:
    return f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name


def _without_empty_maps(value: Any) -> Any:
    """Return `value` without empty maps.

    Applying an empty map over one with keys removes each key and leaves null, which the schema refuses.
    """
    if isinstance(value, Mapping):
        return {key: _without_empty_maps(item) for key, item in value.items() if item != {}}
    return [_without_empty_maps(item) for item in value] if isinstance(value, list) else value


def _precondition(ref: ObjectRef, resource_version: str = "") -> dict[str, str]:
    """Return the metadata with which the server refuses another object of the same name, or another version of it."""
    wanted = {"resourceVersion": resource_version, "uid": ref.uid}
    return {key: value for key, value in wanted.items() if value}


def _identity(ref: ObjectRef, resource_version: str = "") -> dict[str, Any]:
    """Return the fields of a body that identify `ref`."""
    metadata = {"name": ref.name, **({"namespace": ref.namespace} if ref.namespace else {})}
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": metadata | _precondition(ref, resource_version),
    }


def _scale(ref: ObjectRef, body: Mapping[str, Any]) -> ScaleSubresource:
    # a workload without `replicas` has one, except by its own /scale, which then answers zero
    wanted, ready = (integer(get_path(body, part, "replicas"), default=0) for part in ("spec", "status"))
    if wanted is None or ready is None:
        raise Unreadable(f"{ref.kind} {_name(ref)}: its /scale says replicas that are no number")
    return ScaleSubresource(
        spec_replicas=wanted,
        status_replicas=ready,
        selector=string(get_path(body, "status", "selector")),
        resource_version=str(body["metadata"]["resourceVersion"]),
        uid=str(body["metadata"]["uid"]),
    )


def _items(answer: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
    """Return the objects of one page of a list, each checked for kind, name and UID."""
    listed = answer.get("items")
    if "items" not in answer or not (listed is None or isinstance(listed, list)):
        raise Unavailable(f"GET {path}: the answer is no list")
    for item in listed or []:
        if not all(string(get_path(item, "metadata", field)) for field in ("name", "uid")):
            raise Unavailable(f"GET {path}: an object of the list has no name or no UID")
    return listed or []


def _of_namespace(listed: list[dict[str, Any]], namespace: str, path: str) -> list[dict[str, Any]]:
    if namespace and any(item["metadata"].get("namespace") != namespace for item in listed):
        raise Unavailable(f"GET {path}: the list has objects of another namespace")
    return listed
