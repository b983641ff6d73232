"""A Prometheus of one's own: it scrapes what it is told to, and takes generated series of the past."""

import json
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from forestall.devcluster.node_network import ADDRESS, NodeNetwork
from forestall.devcluster.ports import free_ports
from forestall.devcluster.programs import Programs
from forestall.devcluster.remote_write import HEADERS, HistogramSeries, Series, encode
from forestall.devcluster.workspace import Workspace
from forestall.errors import CommandFailed

_READY_S = 30.0
_TRIES = 3
_POLL_S = 0.05
_REQUEST_S = 60.0


class PrometheusServer:
    """A Prometheus process in a workspace, on a free loopback port: it runs in the body of a ``with``.

    `scrape_configs` is what Prometheus's own configuration has under that name, and `flags` are added to its command
    line. Generated series may be up to `past_days` old. In the `network` of real nodes this machine reaches it at
    `url`, and pods at `pod_url`.
    """

    def __init__(
        self,
        workspace: Workspace,
        programs: Programs,
        *,
        scrape_configs: Sequence[Mapping[str, Any]] = (),
        scrape_interval: str = "1s",
        past_days: int = 30,
        flags: Sequence[str] = (),
        network: NodeNetwork | None = None,
    ) -> None:
        self._workspace = workspace
        self._program = programs["prometheus"]
        self._scrape_configs = scrape_configs
        self._scrape_interval = scrape_interval
        self._past_days = past_days
        self._flags = flags
        self._network = network
        self._process: subprocess.Popen[bytes] | None = None
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy of the user's is not for what runs beside this process
        self._name = ""
        self.url = ""
        """Where it answers, such as ``http://127.0.0.1:41234``; empty until it is started."""
        self.pod_url = ""
        """Where pods of real nodes reach it."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start Prometheus and return when it answers; raises CommandFailed with its last words when it does not."""
        for attempt in range(1, _TRIES + 1):
            try:
                self._start_on(free_ports(1)[0])
                return
            except CommandFailed:  # most likely another process took the port meanwhile
                if attempt == _TRIES:
                    raise

    def stop(self) -> None:
        """End Prometheus; its data stay in the workspace. May be called again."""
        if self._process:
            process, self._process = self._process, None
            self._workspace.stop(process)
        self._http.close()

    def scrape(self, *scrape_configs: Mapping[str, Any]) -> None:
        """Scrape these targets from now on, and no others; raises CommandFailed when Prometheus refuses them."""
        self._scrape_configs = scrape_configs
        self._configure()
        self._post("/-/reload", b"", {})

    def write(self, series: Iterable[Series | HistogramSeries]) -> None:
        """Store generated series, which a query sees at once; raises CommandFailed when Prometheus refuses one."""
        for body in encode(series):
            self._post("/api/v1/write", body, HEADERS)

    def _start_on(self, port: int) -> None:
        self._name = f"prometheus-{port}"
        self.url = f"http://127.0.0.1:{port}"
        self._configure()
        listen = "127.0.0.1"
        if self._network:
            listen, self.pod_url = ADDRESS, f"http://{ADDRESS}:{port}"
            self._network.forward(port, ADDRESS)
        command: list[str | Path] = [
            self._program,
            f"--config.file={self._workspace.path / self._name}.json",
            f"--storage.tsdb.path={self._workspace.path / self._name}",
            f"--storage.tsdb.retention.time={self._past_days + 1}d",
            f"--web.listen-address={listen}:{port}",
            "--scrape.discovery-reload-interval=100ms",  # changed targets are seen at once, not after 5 s
            "--web.enable-remote-write-receiver",
            "--web.enable-lifecycle",
            "--log.level=warn",
            *self._flags,
        ]
        if self._network:
            command = self._network.inside(command)
        self._process = self._workspace.start(self._name, command)
        for _ in _polls(_READY_S):
            if self._process.poll() is not None:
                break
            if self._ready():
                return
        self.stop()
        raise CommandFailed(f"Prometheus did not start:\n{self._workspace.last_words(self._name)}")

    def _configure(self) -> None:
        configuration = {
            "global": {"scrape_interval": self._scrape_interval, "scrape_timeout": self._scrape_interval},
            "scrape_configs": list(self._scrape_configs),
            "storage": {"tsdb": {"out_of_order_time_window": f"{self._past_days}d"}},
        }
        (self._workspace.path / f"{self._name}.json").write_text(json.dumps(configuration))

    def _ready(self) -> bool:
        try:
            return self._http.get(f"{self.url}/-/ready", timeout=1).ok
        except requests.ConnectionError:
            return False

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            answer = self._http.post(self.url + path, data=body, headers=dict(headers), timeout=_REQUEST_S)
        except requests.RequestException as error:
            log_lines = self._workspace.last_words(self._name)
            raise CommandFailed(f"Prometheus did not answer on {path}: {error}\n{log_lines}") from error
        if not answer.ok:
            raise CommandFailed(f"Prometheus refused {path} with status {answer.status_code}: {answer.text.strip()}")


def _polls(seconds: float) -> Iterator[None]:
    """Yield now and then, for so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(_POLL_S)
