"""The statement of docs/install.md about samples with their own timestamps, such as the kubelet's, checked on a real
Prometheus.
"""

import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import yaml
from tests.support.waiting import until

from forestall.devcluster.programs import Programs
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.workspace import Workspace

DEADLINE_S = 60


class Kubelet(BaseHTTPRequestHandler):
    """A scrape of one pod's memory, with the time of the measurement, while the pod runs."""

    running = True

    def do_GET(self) -> None:
        sample = f'memory_bytes{{pod="shop-1"}} 480 {round(time.time() * 1000)}\n' if type(self).running else ""
        body = f"# TYPE memory_bytes gauge\n{sample}other 1\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def kubelet() -> Iterator[str]:
    Kubelet.running = True
    with ThreadingHTTPServer(("127.0.0.1", 0), Kubelet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def jobs(root: Path) -> list[dict[str, object]]:
    """The scrape jobs of the page."""
    blocks = re.findall(r"```yaml\n(.*?)```", (root / "docs" / "install.md").read_text(), re.DOTALL)
    return [job for block in blocks for job in yaml.safe_load(block).get("scrape_configs", ())]


def test_series_of_a_pod_ends_with_it_only_with_staleness_tracking(
    programs: Programs, kubelet: str, root: Path
) -> None:
    """The kind: the last value of a series outlives the deleted object."""
    (job,) = jobs(root)
    assert job.pop("track_timestamps_staleness") is True
    targets = {"static_configs": [{"targets": [kubelet]}]}
    names = {"default": {}, "tracking": {"track_timestamps_staleness": True}, "ignoring": {"honor_timestamps": False}}
    configs = [{"job_name": name, **settings, **targets} for name, settings in names.items()]
    with Workspace("timestamps") as workspace, PrometheusServer(workspace, programs, scrape_configs=configs) as server:
        until(lambda: jobs_with(server, "memory_bytes") == set(names), DEADLINE_S)
        Kubelet.running = False
        until(lambda: jobs_with(server, "memory_bytes") == {"default"}, DEADLINE_S)
        # The scrapes go on, so that the end is not that of the target.
        assert jobs_with(server, "other") == set(names)


def jobs_with(server: PrometheusServer, query: str) -> set[str]:
    """Return the jobs whose scrapes an instant query still finds."""
    answer = requests.get(f"{server.url}/api/v1/query", params={"query": query}, timeout=10).json()
    return {series["metric"]["job"] for series in answer["data"]["result"]}
