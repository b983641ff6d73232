"""A process that is killed at any of its writes: the next process completes the Remediation."""

import asyncio
import json
import subprocess

from forestall.api import Remediation


def run_until_killed(mortal: subprocess.Popen[str], lives, life: Remediation, killed_after: int) -> int:
    assert mortal.stdin is not None
    assert mortal.stdout is not None
    order = {"kubeconfig": str(lives.cluster.kubeconfig), "body": life.dump(), "cycles": lives.cycles()}
    mortal.stdin.write(json.dumps({**order, "killed_after": killed_after}) + "\n")
    mortal.stdin.flush()
    return int(mortal.stdout.readline())


async def test_next_process_completes_a_remediation_after_a_kill_at_any_write(mortal, lives, action, all_writes):
    ends = []
    for killed_after in range(all_writes):
        before = await lives.before()
        life = await lives.open(action)
        ends.append(await asyncio.to_thread(run_until_killed, mortal, lives, life, killed_after))
        lives.now += 20
        await lives.check(action, await lives.finish(life), before)
    assert ends == sorted(ends), "each is killed until the boundaries are behind the end of its life"
    assert (ends[5], ends[-1]) == (-9, 0)
