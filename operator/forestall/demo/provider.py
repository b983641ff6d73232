"""Which kind of cluster to start: the environment variable FORESTALL_CLUSTER says it."""

import os
from collections.abc import Mapping
from typing import Final

from forestall.demo.controlplane import ControlPlane
from forestall.demo.kind import PROGRAMS, KindCluster
from forestall.demo.local import LocalCluster
from forestall.demo.programs import Programs, find_programs
from forestall.demo.progress import Steps
from forestall.errors import InvalidInput

VARIABLE: Final = "FORESTALL_CLUSTER"
_CLUSTERS: Final[Mapping[str, type[ControlPlane | KindCluster]]] = {"kwok": ControlPlane, "kind": KindCluster}


def local_programs(steps: Steps | None = None) -> Programs:
    """Return the programs that the chosen cluster, Prometheus and Helm need, building those that are nowhere yet.

    Raises what `find_programs` raises, and InvalidInput when FORESTALL_CLUSTER is neither ``kwok`` nor ``kind``.
    """
    return find_programs(PROGRAMS if _chosen() is KindCluster else None, steps)


def local_cluster(programs: Programs, *, nodes: int = 1, start_up_s: float = 0) -> LocalCluster:
    """Return the chosen cluster, not started yet: a control plane of processes, or kind's if the user asks for it.

    Raises InvalidInput when FORESTALL_CLUSTER is neither ``kwok`` nor ``kind``.
    """
    return _chosen()(programs, nodes=nodes, start_up_s=start_up_s)


def _chosen() -> type[ControlPlane | KindCluster]:
    name = os.environ.get(VARIABLE) or "kwok"
    if name not in _CLUSTERS:
        raise InvalidInput(f"{VARIABLE} is {name!r}; it may be kwok, which needs nothing, or kind, which needs Docker")
    return _CLUSTERS[name]
