"""A process that is killed at any of its writes: the next process completes the Remediation."""

import asyncio
import json
import signal
import subprocess

import pytest
from tests.cluster.remediation.conftest import FEWEST_WRITES, MOST_WRITES

from forestall.api import Remediation


def run_until_killed(mortal: subprocess.Popen[str], lives, life: Remediation, killed_after: int) -> int:
    assert mortal.stdin is not None
    assert mortal.stdout is not None
    order = {"kubeconfig": str(lives.cluster.kubeconfig), "body": life.dump(), "cycles": lives.cycles()}
    mortal.stdin.write(json.dumps({**order, "killed_after": killed_after}) + "\n")
    mortal.stdin.flush()
    return int(mortal.stdout.readline())


async def test_next_process_completes_a_remediation_after_a_kill_at_any_write(mortal, lives, action):
    for killed_after in range(MOST_WRITES):
        before = await lives.before()
        life = await lives.open(action)
        end = await asyncio.to_thread(run_until_killed, mortal, lives, life, killed_after)
        lives.now += 20
        await lives.check(action, await lives.finish(life), before)
        assert end in (-signal.SIGKILL, 0)
        if end == 0:
            break
    else:
        pytest.fail(f"a life of {action} does not end after {MOST_WRITES} writes")
    assert killed_after >= FEWEST_WRITES[action]
