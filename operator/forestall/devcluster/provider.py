"""Which kind of cluster to start: the environment variable FORESTALL_CLUSTER says it."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from forestall.devcluster import node_requirements
from forestall.devcluster.controlplane import ControlPlane
from forestall.devcluster.kind import PROGRAMS, KindCluster
from forestall.devcluster.local import LocalCluster
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.programs import Programs, find_programs
from forestall.devcluster.progress import Steps
from forestall.errors import InvalidInput, MissingTool

VARIABLE: Final = "FORESTALL_CLUSTER"
_CLUSTERS: Final[Mapping[str, type[ControlPlane | KindCluster]]] = {
    "kwok": ControlPlane,
    "nodes": RealNodes,
    "kind": KindCluster,
}

_CONTROL_PLANE: Final = (
    *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
    *("kubectl", "kwok", "kwokctl"),
)
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "demo": (*_CONTROL_PLANE, "prometheus", "helm"),
    "tests": (*_CONTROL_PLANE, "prometheus", "helm"),
    "cluster": _CONTROL_PLANE,
    "adapters": ("prometheus",),
    "nodes": (*RealNodes.PROGRAMS, "prometheus"),
}
"""Which programs it takes, by what for."""
_TESTS: Final = ("tests", "adapters")
"""What they find may depend on the major version of a program."""


def local_programs(steps: Steps | None = None, purpose: str = "demo") -> Programs:
    """Return the programs that the `purpose`, one of `NEEDED`, takes, building those that are nowhere yet.

    Raises what `find_programs` raises, and InvalidInput when FORESTALL_CLUSTER is not ``kwok``, ``nodes`` or ``kind``.
    """
    names = NEEDED[purpose]
    if _chosen() is RealNodes and "kubectl" in names:
        names = tuple(dict.fromkeys((*names, *RealNodes.PROGRAMS)))
    if _chosen() is KindCluster:
        names = tuple(name for name in names if name in PROGRAMS)
    return find_programs(names, steps, closely=purpose in _TESTS)


def check_machine(nodes: int) -> None:
    """Raise MissingTool where the chosen cluster can't run here, before anything is built for it."""
    if _chosen() is RealNodes:
        try:
            folder = Path(tempfile.gettempdir())
        except OSError as error:
            raise MissingTool(f"{error.strerror}: set TMPDIR to a folder with room that you may write to") from error
        node_requirements.check_machine(folder, nodes)


def local_cluster(
    programs: Programs,
    *,
    nodes: int = 1,
    start_up_s: float = 0,
    arguments: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> LocalCluster:
    """Return the chosen cluster, not started yet: a control plane of processes, or what the user asks for.

    `arguments` are added to those of the servers, by their names; a kind cluster keeps its own.

    Raises InvalidInput when FORESTALL_CLUSTER is not ``kwok``, ``nodes`` or ``kind``.
    """
    cluster = _chosen()
    if issubclass(cluster, KindCluster):
        return cluster(programs, nodes=nodes, start_up_s=start_up_s)
    return cluster(programs, nodes=nodes, start_up_s=start_up_s, arguments=arguments)


def _chosen() -> type[ControlPlane | KindCluster]:
    return _CLUSTERS[chosen_cluster()]


def chosen_cluster(name: str = "") -> str:
    """Return `name`, or what FORESTALL_CLUSTER says, or ``kwok``; raises InvalidInput when there is no such cluster."""
    name = name or os.environ.get(VARIABLE) or "kwok"
    if name not in _CLUSTERS:
        raise InvalidInput(
            f"{VARIABLE} is {name!r}; it may be kwok, which needs nothing, nodes, which needs root on Linux, "
            "or kind, which needs Docker"
        )
    return name
