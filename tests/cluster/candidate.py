"""A candidate process for the leader election that writes as fast as it may while it leads; `test_kubernetes_lease.py`
starts it.
"""

import asyncio
import contextlib
import os
import signal
import sys
from functools import partial
from itertools import count

from forestall.adapters.kubernetes import Access, Api, Elector, KubernetesCluster, KubernetesLease, Recorder, Timing
from forestall.errors import ClusterError, LostLease

say = partial(print, flush=True)

TIMING = Timing(duration=6, renew_deadline=3, retry=0.5, request=2)


async def main(kubeconfig: str, namespace: str, identity: str) -> None:
    def lost(why: str) -> None:
        say(f"lost: {why}")
        os._exit(3)

    async with Api(await Access.find(kubeconfig)) as api:
        elector = Elector(KubernetesLease(api, namespace, "leader"), identity, lost, TIMING)
        cluster = KubernetesCluster(api, Recorder(api, identity), namespace, elector.fence)
        electing = asyncio.create_task(elector.run())
        writing = asyncio.create_task(write(cluster, elector, namespace, identity))
        say("standing by")
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        for task in (writing, electing):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await elector.release()
        say("released")


async def write(cluster: KubernetesCluster, elector: Elector, namespace: str, identity: str) -> None:
    await elector.elected()
    say("leading")
    for number in count():
        name = f"{identity}-{number}"
        try:
            await cluster.create(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}
            )
        except LostLease:
            say("fenced")
            await asyncio.sleep(0.05)
        except ClusterError as error:
            say(f"failed: {error}")
        else:
            say("wrote")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
