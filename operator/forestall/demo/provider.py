"""Which kind of cluster to start: the environment variable FORESTALL_CLUSTER says it."""

import os

from forestall.demo.cluster import LocalCluster
from forestall.demo.controlplane import ControlPlane
from forestall.demo.kind import KindCluster
from forestall.demo.programs import find_programs
from forestall.demo.progress import Steps
from forestall.errors import InvalidInput

VARIABLE = "FORESTALL_CLUSTER"


def local_cluster(*, nodes: int, start_up_s: float, steps: Steps | None = None) -> LocalCluster:
    """Return a cluster that is not started yet: a control plane with KWOK's nodes, or kind's if the user asks for it.

    kind's pods are real and take the time that they take: `start_up_s` says nothing there. Raises what
    `find_programs` raises, and InvalidInput when FORESTALL_CLUSTER is neither ``kwok`` nor ``kind``.
    """
    match os.environ.get(VARIABLE) or "kwok":
        case "kwok":
            return ControlPlane(find_programs(steps=steps), nodes=nodes, start_up_s=start_up_s)
        case "kind":
            return KindCluster(find_programs(("kubectl", "helm", "prometheus"), steps), nodes=nodes)
        case other:
            raise InvalidInput(f"{VARIABLE} is {other!r}; it may be kwok, which needs nothing, or kind")
