"""Follow the pods of the shop's Deployment through the Kubernetes API."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError

_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PodState:
    """The state of a pod."""

    name: str
    node: str
    ready: bool


async def follow(
    kubeconfig: str, namespace: str, selector: str, report: Callable[[Mapping[str, PodState]], None]
) -> None:
    """Call `report` with all pods of the selector, by UID, whenever one of them changes, until cancelled.

    Terminating pods are left out, because a Service sends them no more requests.
    """
    # The shop's image has no Kubernetes client.
    from kubernetes.aio import client, config  # noqa: PLC0415

    api_client = await config.new_client_from_config(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    async with api_client:
        api = client.CoreV1Api(api_client)
        while True:
            try:
                await _follow_once(api, namespace, selector, report)
            except (client.ApiException, ClientError, OSError, TimeoutError) as error:
                print(f"pods: {error}; asking again", file=sys.stderr, flush=True)
            await asyncio.sleep(_RETRY_SECONDS)


async def _follow_once(
    api: Any, namespace: str, selector: str, report: Callable[[Mapping[str, PodState]], None]
) -> None:
    from kubernetes.aio import watch  # noqa: PLC0415

    listed = await api.list_namespaced_pod(namespace, label_selector=selector, _request_timeout=10)
    pods = {pod.metadata.uid: pod for pod in listed.items}
    report(_serving(pods))
    stream = watch.Watch()  # type: ignore[no-untyped-call]
    async with stream.stream(  # type: ignore[no-untyped-call]
        api.list_namespaced_pod,
        namespace,
        label_selector=selector,
        resource_version=listed.metadata.resource_version,
        timeout_seconds=300,
    ) as events:
        async for event in events:
            pod = event["object"]
            if event["type"] == "DELETED":
                pods.pop(pod.metadata.uid, None)
            else:
                pods[pod.metadata.uid] = pod
            report(_serving(pods))


def _serving(pods: Mapping[str, Any]) -> dict[str, PodState]:
    return {
        uid: PodState(pod.metadata.name, pod.spec.node_name or "", _is_ready(pod))
        for uid, pod in pods.items()
        if pod.metadata.deletion_timestamp is None
    }


def _is_ready(pod: Any) -> bool:
    conditions = (pod.status.conditions if pod.status else None) or []
    return any(condition.type == "Ready" and condition.status == "True" for condition in conditions)
