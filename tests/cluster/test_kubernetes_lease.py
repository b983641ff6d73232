"""Leader election with real processes on a real API server: suspended, resumed, killed and stopped."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.control_plane import PooledCluster

PROGRAM = Path(__file__).with_name("candidate.py")


class Candidate:
    """A candidate process and its output."""

    def __init__(self, cluster: PooledCluster, namespace: str, identity: str, log: Path) -> None:
        self._log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAM, cluster.kubeconfig, namespace, identity], stdout=out, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> Counter[str]:
        return Counter(line.partition(":")[0] for line in self._log.read_text().splitlines())

    def until(self, condition: Callable[[Counter[str]], bool], seconds: float = 180) -> float:
        """Return how long (s) it took until the output of the process meets the condition."""
        began = time.monotonic()
        while not condition(self.said):
            assert time.monotonic() - began < seconds, self._log.read_text()[-2000:]
            time.sleep(0.05)
        return time.monotonic() - began

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start(cluster, namespace, tmp_path) -> Iterator[Callable[[str], Candidate]]:
    started: list[Candidate] = []

    def one(identity: str) -> Candidate:
        started.append(Candidate(cluster, namespace, identity, tmp_path / identity))
        return started[-1]

    yield one
    for candidate in started:
        candidate.end()


@pytest.fixture
def pair(start) -> tuple[Candidate, Candidate]:
    """A leader that writes, and a standby."""
    leader = start("one")
    leader.until(lambda said: said["wrote"] > 5)
    standby = start("two")
    standby.until(lambda said: said["standing by"] == 1)
    return leader, standby


def versions(cluster: PooledCluster, namespace: str, identity: str) -> list[int]:
    """Return the resource versions of a process's writes; they grow over all objects of the cluster."""
    listed = cluster.find("ConfigMap", namespace)
    named = [item["metadata"] for item in listed if item["metadata"]["name"].startswith(f"{identity}-")]
    return sorted(int(metadata["resourceVersion"]) for metadata in named)


def test_suspended_leader_writes_nothing_after_a_takeover(cluster, namespace, pair):
    leader, standby = pair
    leader.process.send_signal(signal.SIGSTOP)
    assert standby.until(lambda said: said["wrote"] > 5) > 3
    leader.process.send_signal(signal.SIGCONT)
    assert leader.process.wait(180) == 3
    assert leader.said["lost"] == 1
    seen = standby.said["wrote"]
    standby.until(lambda said: said["wrote"] > seen)
    first = min(versions(cluster, namespace, "two"))
    # one request may have passed the fence and not have been sent yet when the process was stopped
    assert sum(version > first for version in versions(cluster, namespace, "one")) <= 1


def test_leader_suspended_past_its_deadline_does_not_write_without_a_takeover(cluster, namespace, start):
    leader = start("one")
    leader.until(lambda said: said["wrote"] > 5)
    leader.process.send_signal(signal.SIGSTOP)
    time.sleep(4)
    written = versions(cluster, namespace, "one")
    leader.process.send_signal(signal.SIGCONT)
    assert leader.process.wait(180) == 3
    # one request may have passed the fence and not have been sent yet when the process was stopped
    assert len(versions(cluster, namespace, "one")) <= len(written) + 1


def test_short_suspension_keeps_the_lease(pair):
    leader, standby = pair
    leader.process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    leader.process.send_signal(signal.SIGCONT)
    seen = leader.said["wrote"]
    leader.until(lambda said: said["wrote"] > seen + 20)
    assert standby.said["leading"] == 0


def test_standby_takes_over_from_a_killed_leader(pair):
    leader, standby = pair
    leader.process.kill()
    standby.until(lambda said: said["wrote"] > 0)


def test_stopping_leader_releases_the_lease_at_once(cluster, namespace, pair):
    leader, standby = pair
    leader.process.terminate()
    assert leader.process.wait(180) == 0
    assert leader.said["released"] == 1
    lease = cluster.get("lease", "leader", namespace)
    assert lease["spec"]["holderIdentity"] != "one", "nobody has to wait until it runs out"
    standby.until(lambda said: said["wrote"] > 0)
    assert max(versions(cluster, namespace, "one")) < min(versions(cluster, namespace, "two"))


def test_lease_edited_by_hand_ends_the_leader(cluster, namespace, pair):
    leader, _ = pair
    patch = json.dumps({"spec": {"holderIdentity": "somebody"}})
    cluster.kubectl("patch", "lease", "leader", "-n", namespace, "--type=merge", "-p", patch)
    assert leader.process.wait(10) == 3
