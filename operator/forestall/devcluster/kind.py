"""A kind cluster, where Docker runs: the control plane of a real distribution, in a container."""

import shutil
from typing import Final

from forestall.devcluster.local import LocalCluster
from forestall.devcluster.processes import run
from forestall.devcluster.programs import Programs
from forestall.devcluster.workspace import Workspace
from forestall.errors import CommandFailed, MissingTool

PROGRAMS: Final = ("kubectl", "helm", "prometheus", "kwok")
"""Those that a kind cluster does not bring."""
_READY_S = 300
_TAINT = "node-role.kubernetes.io/control-plane=:NoSchedule"


class KindCluster(LocalCluster):
    """A kind cluster beside whose own node KWOK plays others, on which the pods are put.

    Without such nodes the pods are real, and run on kind's own.
    """

    def __init__(self, programs: Programs, *, nodes: int = 1, start_up_s: float = 0) -> None:
        super().__init__(Workspace("kind"), programs, nodes=nodes, start_up_s=start_up_s)

    @property
    def name(self) -> str:
        """What kind knows it as."""
        return self.workspace.path.name

    def start(self) -> None:
        """Start the cluster; see LocalCluster."""
        kind = find_kind()
        self.workspace.at_end([kind, "delete", "cluster", "--name", self.name])
        create = [kind, "create", "cluster", "--name", self.name, "--wait", f"{_READY_S}s"]
        run([*create, "--kubeconfig", self.kubeconfig], timeout_s=_READY_S * 2)
        if self._nodes:
            # kind's scheduler would put pods there, too; a cordon would count as one of the operator's.
            self.kubectl("taint", "node", "--all", _TAINT, "--overwrite")

    def load(self, image: str) -> None:
        """Bring an image of this machine's Docker into the cluster."""
        run([find_kind(), "load", "docker-image", image, "--name", self.name], timeout_s=_READY_S)


def find_kind() -> str:
    """Return the `kind` program; raises MissingTool where it, or Docker, cannot be used."""
    kind = shutil.which("kind")
    if not kind:
        raise MissingTool("kind is not on the PATH; install it, or unset FORESTALL_CLUSTER for a cluster without it")
    docker = shutil.which("docker")
    if not docker:
        raise MissingTool("kind needs Docker, which is not on the PATH; unset FORESTALL_CLUSTER for a cluster without")
    try:
        run([docker, "info"], timeout_s=20)
    except CommandFailed as error:
        raise MissingTool(
            "kind needs Docker, whose engine does not answer; start it, or unset FORESTALL_CLUSTER for a cluster "
            f"without it. {error}"
        ) from error
    return kind
