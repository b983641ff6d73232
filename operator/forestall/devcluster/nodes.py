"""A cluster with real nodes: kubelets, containerd and pods on this machine, beside a control plane of processes.

`RealNodes` is one more way to get a cluster (``FORESTALL_CLUSTER=nodes``), where the machine allows it: Linux, root,
control groups, a loop device. It needs neither Docker nor systemd, and no registry: images are archives.

::

    with RealNodes(find_programs(RealNodes.PROGRAMS), nodes=2) as cluster:
        cluster.import_image(Path("build/image.tar"))       # on all nodes; OCI or Docker archive
        cluster.kubectl("run", ...)                          # as with every cluster
        cluster.nodes[0].run("ctr", "-n", "k8s.io", "images", "ls")
        cluster.nodes[0].stop("kubelet")

What runs inside is reached from this machine by ports that are forwarded (`network.forward`); other programs run in the
cluster's network by `network.inside`, where it has the address `ADDRESS` for pods. Everything ends with the process
that started it, and what a machine that lost its power or its reaper has left is removed by the next start.
"""

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psutil

from forestall.devcluster import node_cgroups
from forestall.devcluster.cluster_dns import dns_objects, write_corefile
from forestall.devcluster.containerd import PAUSE_IMAGE
from forestall.devcluster.controlplane import ControlPlane
from forestall.devcluster.image_archive import write_image
from forestall.devcluster.kubelet import KUBELET_KUBECONFIG, PROXY_KUBECONFIG, kubeconfig
from forestall.devcluster.node import NODE_PROGRAMS, Node, NodeSize
from forestall.devcluster.node_network import ADDRESS, API_SERVICE, NodeNetwork
from forestall.devcluster.node_packages import find_packages
from forestall.devcluster.node_requirements import check_machine
from forestall.devcluster.processes import KEEP, MARK, end
from forestall.devcluster.programs import Programs
from forestall.errors import CommandFailed

__all__ = ["ADDRESS", "NodeSize", "RealNodes"]

_OWNER: Final = "owner"
_API: Final = MappingProxyType(
    {
        "bind-address": "0.0.0.0",  # noqa: S104 -- all addresses of a network that only the cluster is in
        "advertise-address": ADDRESS,
        "endpoint-reconciler-type": "lease",
        "kubelet-preferred-address-types": "InternalIP",
    }
)
_MANAGER: Final = MappingProxyType({"node-monitor-grace-period": "16s", "node-monitor-period": "2s"})
_READY_S: Final = 180.0


class RealNodes(ControlPlane):
    """A control plane and real nodes, called ``node-1``, ``node-2`` and so on.

    Pods start when their images do: `start_up_s`, which other clusters keep to, is not looked at.
    """

    WORKSPACE = "nodes"
    CERTIFIED = (API_SERVICE, ADDRESS)
    PROGRAMS: Final = (
        *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok", "kwokctl", "helm"),
        *(*NODE_PROGRAMS, "coredns"),
    )

    def __init__(
        self,
        programs: Programs,
        *,
        nodes: int = 2,
        start_up_s: float = 0,
        size: NodeSize = NodeSize(),  # noqa: B008 -- it can't be changed
        arguments: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        own = {"kube-apiserver": _API, "kube-controller-manager": _MANAGER}
        merged = {name: {**own.get(name, {}), **arguments.get(name, {})} for name in {*own, *arguments}}
        super().__init__(programs, nodes=nodes, start_up_s=start_up_s, arguments=merged)
        self.network = NodeNetwork(self.workspace)
        self.nodes = [Node(self.workspace, self.network, number, size) for number in range(1, nodes + 1)]

    def start(self) -> None:
        """Start network, nodes and control plane; raises MissingTool with all that this machine lacks."""
        check_machine(self.workspace.path, len(self.nodes))
        packages = find_packages()
        end_leftovers()
        (self.workspace.path / _OWNER).write_text(json.dumps([os.getpid(), psutil.Process().create_time()]))
        self.workspace.at_end(node_cgroups.removal(self.workspace.path.name))
        self.network.start(self._programs["pause"], len(self.nodes))
        for node in self.nodes:
            node.begin(self._programs, packages)
        self.prefix = self.network.inside(())
        super().start()
        self.network.forward(self.api_port)

    def join(self) -> None:
        """Have the nodes join, and return when all are Ready and names are resolved."""
        self._start_dns()
        pause = write_image(
            self.workspace.path / "pause.tar", PAUSE_IMAGE, {"/pause": self._programs["pause"]}, ["/pause"]
        )
        self._for_each_node(lambda node: self._join(node, pause))
        names = [f"node/{node.name}" for node in self.nodes]
        self._wait_for_nodes(names)

    def import_image(self, archive: Path, name: str = "") -> None:
        """Bring the images of an archive (OCI's layout or Docker's) onto all nodes; `name` for one that has none.

        Pods that use them need no pull: an `imagePullPolicy` of `Always` fails, as there is no registry.
        """
        self._for_each_node(lambda node: node.import_image(archive, name))

    def kubelet_job(self, metrics: str, **settings: Any) -> dict[str, Any]:
        """Return the scrape config of the kubelets' `cadvisor` or `resource` metrics, with these settings too."""
        kubelets = [{"targets": [f"{node.address}:10250"], "labels": {"node": node.name}} for node in self.nodes]
        return {
            "job_name": metrics,
            "scheme": "https",
            "metrics_path": f"/metrics/{metrics}",
            "tls_config": {"insecure_skip_verify": True},
            "static_configs": kubelets,
            **settings,
        }

    @contextmanager
    def silent_dns(self) -> Iterator[None]:
        """Let no name be resolved while the body runs: questions are taken, and not answered."""
        self._dns.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._dns.send_signal(signal.SIGCONT)

    def last_words(self) -> str:
        """Return the ends of the logs of the control plane and of the nodes."""
        logs = sorted(self.workspace.path.glob("logs/*.log"))
        ends = [f"{log.name}:\n{self.workspace.last_words(log.stem)}" for log in logs]
        return "\n".join([super().last_words(), *ends])

    def _for_each_node(self, action: Callable[[Node], None]) -> None:
        """Do something on all nodes, side by side; raises what it raises."""
        with ThreadPoolExecutor(max_workers=max(1, len(self.nodes))) as pool:
            list(pool.map(action, self.nodes))

    def _join(self, node: Node, pause: Path) -> None:
        folder = self.workspace.path / "nodes" / node.name
        node.connect(len(self.nodes))
        server = f"https://{ADDRESS}:{self.api_port}"
        user = f"system:node:{node.name}"
        node.write(KUBELET_KUBECONFIG, kubeconfig(folder, server, self.authority, user, ["system:nodes"]))
        node.write(PROXY_KUBECONFIG, kubeconfig(folder, server, self.authority, "system:kube-proxy"))
        node.start_containerd()
        node.import_image(pause)
        node.start_kubelet()
        node.start_proxy()

    def _start_dns(self) -> None:
        corefile = write_corefile(self.workspace.path, self.kubeconfig)
        program = self.workspace.link(self._programs["coredns"])
        self._dns = self.workspace.start("coredns", self.network.inside([program, "-conf", corefile]))
        self.apply(*dns_objects(), namespace="kube-system")

    def _wait_for_nodes(self, names: list[str]) -> None:
        """Return when all nodes are Ready; raises CommandFailed at once when one of their services ends."""
        deadline = time.monotonic() + _READY_S
        for name in names:
            for condition in ("create", "condition=Ready"):
                while not self._holds(name, condition):
                    ended = next(filter(None, (node.ended_service() for node in self.nodes)), None)
                    if ended is not None:
                        raise CommandFailed(f"{name} can't become Ready: {ended}")
                    if time.monotonic() > deadline:
                        raise CommandFailed(
                            f"{name} did not become Ready in {_READY_S:g} s. {self._ready(name)}\n{self.last_words()}"
                        )

    def _holds(self, name: str, condition: str) -> bool:
        """Wait a moment until a condition of a node holds; say whether it does."""
        waited = self.kubectl("wait", f"--for={condition}", name, "--timeout=2s", check=False)
        return waited.returncode == 0

    def _ready(self, name: str) -> str:
        """Return what a node says of its condition Ready."""
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].message}"
        message = self.kubectl("get", name, "--output", path, check=False).stdout.strip()
        return f"It says: {message}" if message else "It has not joined the cluster"


def end_leftovers() -> None:
    """End the clusters of real nodes whose owner is gone, and that nobody has ended; those that are kept stay."""
    for folder in Path(tempfile.gettempdir()).resolve().glob(f"forestall-{RealNodes.WORKSPACE}-*"):
        if (folder / MARK).is_file() and not (folder / KEEP).exists() and _orphaned(folder):
            end(folder)


def _orphaned(folder: Path) -> bool:
    """Say whether neither the owner of a workspace lives nor the process that ends it for its owner."""
    try:
        pid, created = json.loads((folder / _OWNER).read_text())
    except (OSError, ValueError):
        return False  # it is just being made
    with suppress(psutil.Error):
        if abs(psutil.Process(pid).create_time() - created) < 1:
            return False
    return not any(str(folder) in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
