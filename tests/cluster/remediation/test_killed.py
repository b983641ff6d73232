"""A process that is killed at any of its writes: whoever comes after completes what it began."""

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


async def test_a_process_that_is_killed_at_any_write_is_followed_by_one_that_completes_it(
    mortal, lives, action, all_writes
):
    ends = []
    for killed_after in range(all_writes):
        before = await lives.before()
        life = await lives.open(action)
        ends.append(await asyncio.to_thread(run_until_killed, mortal, lives, life, killed_after))
        lives.now += 20
        await lives.check(action, await lives.finish(life), before)
    assert ends == sorted(ends), "each is killed until the boundaries are behind the end of its life"
    assert (ends[5], ends[-1]) == (-9, 0)
