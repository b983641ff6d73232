"""A stand-in for the metrics server, which has nothing to measure where KWOK plays the pods.

It answers metrics.k8s.io/v1beta1 for the pods that serve, each with its share of the work that the shop has done.
"""

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import trustme

GROUP = "metrics.k8s.io"
_ROOT = f"/apis/{GROUP}/v1beta1"

Usage = Callable[[], Mapping[str, float]]
"""Returns the CPU cores that each pod uses, by its name."""


class MetricsApi:
    """Serves what `usage` returns, over TLS on loopback, in the body of a ``with``."""

    def __init__(self, namespace: str, labels: Mapping[str, str], usage: Usage, window: str) -> None:
        handler = type("Handler", (_Handler,), {"answer": lambda _, path: self._answer(path)})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("localhost").configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._namespace, self._labels, self._usage, self._window = namespace, labels, usage, window
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def _answer(self, path: str) -> dict[str, Any] | None:
        if path == _ROOT:
            pods = {
                "name": "pods",
                "singularName": "",
                "namespaced": True,
                "kind": "PodMetrics",
                "verbs": ["get", "list"],
            }
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/v1beta1",
                "resources": [pods],
            }
        if path == f"{_ROOT}/namespaces/{self._namespace}/pods":
            items = [self._pod(name, cores) for name, cores in self._usage().items()]
            return {"kind": "PodMetricsList", "apiVersion": f"{GROUP}/v1beta1", "metadata": {}, "items": items}
        return None

    def _pod(self, name: str, cores: float) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "namespace": self._namespace, "labels": dict(self._labels)},
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "window": self._window,
            "containers": [{"name": "shop", "usage": {"cpu": f"{round(cores * 1e6)}u", "memory": "64Mi"}}],
        }


class _Handler(BaseHTTPRequestHandler):
    answer: Callable[[str], dict[str, Any] | None]

    def do_GET(self) -> None:
        """Answer a request."""
        content = self.answer(urlsplit(self.path).path)
        body = json.dumps(content or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}).encode()
        self.send_response(200 if content else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server names it
        """Say nothing."""
