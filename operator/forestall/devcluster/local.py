"""A cluster of one's own on this machine, which ends with the process that started it."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from forestall.devcluster.kwok import KwokCluster
from forestall.devcluster.programs import Programs
from forestall.devcluster.workspace import Workspace

_READY_S = 90


class LocalCluster(KwokCluster, ABC):
    """A cluster of one's own in a workspace: it runs in the body of a ``with`` and is gone after it.

    It has `nodes` nodes of KWOK's, whose pods are ready `start_up_s` seconds after they were scheduled. Whatever else
    belongs to the cluster's user may be started in its `workspace`, and ends with it.
    """

    def __init__(self, workspace: Workspace, programs: Programs, *, nodes: int, start_up_s: float) -> None:
        super().__init__(workspace.path / "kubeconfig", programs, workspace.path)
        self.workspace = workspace
        self._nodes = nodes
        self._start_up_s = start_up_s

    def __enter__(self) -> Self:
        try:
            self.start()
            self.kubectl("wait", "--for=create", "serviceaccount/default", f"--timeout={_READY_S}s", timeout_s=_READY_S)
            if self._nodes:
                self.join()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def join(self) -> None:
        """Have the nodes join, and return when they are ready; raises CommandFailed."""
        self.play(self.workspace)
        self.set_start_up(self._start_up_s)
        self.scale_nodes(self._nodes)

    @abstractmethod
    def start(self) -> None:
        """Start the cluster's servers; raises CommandFailed or MissingTool when it can't."""

    def stop(self) -> None:
        """End the cluster and everything in its workspace, unless it is kept. May be called again."""
        self.workspace.close()

    def keep(self) -> None:
        """Leave the cluster running when the body ends."""
        self.workspace.keep()
