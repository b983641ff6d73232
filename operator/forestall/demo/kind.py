"""A cluster with real pods, in containers: kind, where Docker runs."""

import json
import shutil

from forestall.demo.cluster import LocalCluster
from forestall.demo.processes import run
from forestall.demo.programs import Programs
from forestall.demo.workspace import Workspace
from forestall.errors import CommandFailed, MissingTool

_READY_S = 300


class KindCluster(LocalCluster):
    """A kind cluster with `nodes` nodes beside the one of the control plane."""

    def __init__(self, programs: Programs, *, nodes: int = 1) -> None:
        super().__init__(Workspace("kind"), programs)
        self._nodes = nodes

    def start(self) -> None:
        """Start the cluster; see LocalCluster."""
        kind = _kind()
        name = self.workspace.path.name
        roles = ["control-plane", *["worker"] * self._nodes]
        config = self.workspace.path / "kind.json"
        config.write_text(
            json.dumps(
                {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [{"role": role} for role in roles]}
            )
        )
        self.workspace.at_end([kind, "delete", "cluster", "--name", name])
        create = [kind, "create", "cluster", "--name", name, "--config", str(config), "--wait", f"{_READY_S}s"]
        run([*create, "--kubeconfig", self.kubeconfig], timeout_s=_READY_S * 2)

    def stop(self) -> None:
        """End the cluster; see LocalCluster."""
        self.workspace.close()


def _kind() -> str:
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
