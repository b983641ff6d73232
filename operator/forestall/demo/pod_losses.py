"""Real pods that were killed or evicted, as the API tells of them."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import urllib3
from kubernetes import client, config

_REQUEST_S = 3.0


class PodLosses:
    """The pods of a namespace that the kernel killed, or that the kubelet evicted."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self._pods = client.CoreV1Api(config.new_client_from_config(kubeconfig))  # type: ignore[no-untyped-call]
        self._namespace = namespace
        self._reported: set[tuple[str, int]] = set()
        list(self.new())  # what happened before is not reported

    def new(self) -> Iterator[str]:
        """Yield a sentence for each loss since the last call; none where the API does not answer."""
        with suppress(client.ApiException, urllib3.exceptions.HTTPError):
            pods: list[Any] = self._pods.list_namespaced_pod(self._namespace, _request_timeout=_REQUEST_S).items
            for pod in pods:
                uid = pod.metadata.uid
                for number, sentence in losses_of(pod):
                    if (uid, number) not in self._reported:
                        self._reported.add((uid, number))
                        yield sentence


def losses_of(pod: Any) -> Iterator[tuple[int, str]]:
    """Yield how often it happened to the pod, with a sentence; evictions have the number -1."""
    name = pod.metadata.name
    if pod.status.reason == "Evicted":
        yield -1, f"the kubelet evicts {name}: {pod.status.message}"
    for status in pod.status.container_statuses or ():
        killed = [state.terminated for state in (status.state, status.last_state) if state and state.terminated]
        if any(end.reason == "OOMKilled" for end in killed):
            # The restart may come later than the end that causes it.
            restarts = status.restart_count + bool(status.state and status.state.terminated)
            yield restarts, f"the kernel kills {name}: OOMKilled"
