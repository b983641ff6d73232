"""A program that drives Remediations on a real API server and is killed midway; `test_killed.py` runs it.

It reads one JSON object a line: `kubeconfig`, `body` of the Remediation, `cycles` (pairs of a time and an outlook), and
`killed_after`, the number of writes after which the process that drives it is gone, by SIGKILL, before it sees the
answer. That process is a fork: the imports are paid once. It answers with one line: the signal that ended it, or 0.
"""

import asyncio
import json
import os
import signal
import sys
from typing import Any

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import Remediation
from forestall.remediation import RemediationReconciler, RiskOutlook

LONGEST_S = 60


async def unguarded(_: Remediation) -> None:
    """No guard holds."""


class MortalCluster(KubernetesCluster):
    """A cluster that kills the process after a number of writes."""

    writes_left = 0

    async def _request(self, method: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if method != "GET" and self.writes_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await super()._request(method, *args, **kwargs)
        if method != "GET":
            self.writes_left -= 1
            if self.writes_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return answer


async def live(order: dict[str, Any]) -> None:
    """Drive one Remediation through the cycles."""
    remediation = Remediation.read(order["body"])
    async with Api(await Access.find(order["kubeconfig"])) as api:
        cluster = MortalCluster(api, Recorder(api, "test"), remediation.namespace)
        cluster.writes_left = order["killed_after"]
        reconciler = RemediationReconciler(cluster)
        for now, outlook in order["cycles"]:
            life = await reconciler.reconcile(remediation, RiskOutlook(**outlook), unguarded, now)
            while life.status.reason in ("InProgress", "Draining"):  # the cluster's own controllers take their time
                await asyncio.sleep(0.1)
                life = await reconciler.reconcile(remediation, RiskOutlook(**outlook), unguarded, now)


def main() -> None:
    """Process each line of input."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.alarm(LONGEST_S)
            asyncio.run(live(json.loads(line)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
