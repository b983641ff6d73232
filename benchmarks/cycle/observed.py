"""The operator's process, observed from outside."""

import contextlib
import re
import subprocess
import threading
import time
from dataclasses import dataclass

import psutil
import requests

LONGEST_START = 150.0


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of the operator and of its servers at one time."""

    at: float
    cycles: int
    cycle_s: float
    failed: int
    requests: int
    forecasts: int
    leads: bool
    cpu_s: float
    rss_mib: float
    prometheus_cpu_s: float
    api_server_cpu_s: float


class Operator:
    """`forestall run`, observed from outside."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, servers: tuple[psutil.Process, ...]) -> None:
        self.began = time.monotonic()
        self.longest_wait = 0.0
        """Longest response time of a probe since the last reset to 0, while the event loop was blocked."""
        self._process = process
        self._process_info = psutil.Process(process.pid)
        self._url = f"http://127.0.0.1:{port}"
        self._servers = servers
        self._stop = threading.Event()

    def read(self) -> Reading | None:
        """Return the counters; None while the operator does not respond."""
        if self._process.poll() is not None:
            raise SystemExit("the operator ended")
        try:
            text = requests.get(f"{self._url}/metrics", timeout=30).text
        except requests.ConnectionError:
            return None
        prometheus, api_server = (sum(server.cpu_times()[:2]) for server in self._servers)
        return Reading(
            at=time.monotonic(),
            cycles=int(_total(text, "forestall_cycle_seconds_count")),
            cycle_s=_total(text, "forestall_cycle_seconds_sum"),
            failed=int(_total(text, "forestall_cycle_failures_total")),
            requests=int(_total(text, "forestall_source_requests_total")),
            forecasts=text.count("\nforestall_breach_probability{"),
            leads=_total(text, "forestall_leader") == 1,
            cpu_s=sum(self._process_info.cpu_times()[:2]),
            rss_mib=self._process_info.memory_info().rss / 2**20,
            prometheus_cpu_s=prometheus,
            api_server_cpu_s=api_server,
        )

    def until(self, cycles: int = 0, forecasts: int = 0, interval_s: float = 0.5) -> Reading:
        """Wait for `cycles` cycles and for `forecasts` objectives with a forecast."""
        deadline = time.monotonic() + LONGEST_START
        while time.monotonic() < deadline:
            reading = self.read()
            if reading is not None and reading.cycles >= cycles and reading.forecasts >= forecasts:
                return reading
            time.sleep(interval_s)
        raise SystemExit(f"no {cycles} cycles with {forecasts} forecasts within {LONGEST_START:g} s")

    def probe(self) -> None:
        """Probe liveness like the kubelet, but often."""
        while not self._stop.wait(0.2):
            began = time.monotonic()
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"{self._url}/livez", timeout=30)
            self.longest_wait = max(self.longest_wait, time.monotonic() - began)

    def end(self) -> None:
        """Stop the probes."""
        self._stop.set()


def _total(text: str, name: str) -> float:
    """Return the sum of a metric's samples, whatever their labels."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line))
