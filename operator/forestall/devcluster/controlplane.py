"""A real control plane without containers: etcd, kube-apiserver, controller manager, scheduler, and KWOK's nodes.

kwokctl starts the servers. Everything that happens at the API is real: admission, authorization, scheduling,
controllers. Only the nodes and the pods on them are played by KWOK. The servers listen on
the loopback interface alone, on free ports, so that any number of control planes can run side by side.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from forestall.devcluster.local import LocalCluster
from forestall.devcluster.ports import free_ports
from forestall.devcluster.processes import last_lines, run
from forestall.devcluster.programs import Programs
from forestall.devcluster.workspace import Workspace
from forestall.errors import CommandFailed

_NAME = "forestall"
_READY_S = 90
_TRIES = 3
# What the API server says it is reached at. Nothing in the cluster does; a documentation address spares the look
# for a network interface, which fails on a machine that has none but loopback.
_ADVERTISED = "192.0.2.1"


class ControlPlane(LocalCluster):
    """A control plane of plain processes; without nodes nothing runs on it.

    `arguments` are added to those of the servers, by their names.
    """

    WORKSPACE = "cluster"
    """What its workspace is called."""
    CERTIFIED: tuple[str, ...] = ()
    """Addresses that the API server has a certificate for, beside loopback."""

    def __init__(
        self,
        programs: Programs,
        *,
        nodes: int = 1,
        start_up_s: float = 0,
        arguments: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        super().__init__(Workspace(self.WORKSPACE), programs, nodes=nodes, start_up_s=start_up_s)
        self._arguments = arguments
        self.prefix: list[str | Path] = []
        """What the servers are started by, when not in the network of this process."""
        self.api_port = 0

    @property
    def authority(self) -> Path:
        """The folder with the certificate and the key that the API server trusts, ``ca.crt`` and ``ca.key``."""
        return self.workspace.path / "kwok" / "clusters" / _NAME / "pki"

    def start(self) -> None:
        """Start the control plane; see LocalCluster."""
        for attempt in range(1, _TRIES + 1):
            try:
                self._create()
                break
            except CommandFailed:  # most likely another process took one of the ports meanwhile
                if attempt == _TRIES:
                    raise

    def last_words(self) -> str:
        """Return the ends of the servers' logs, for whoever looks for the cause of a failure."""
        logs = sorted(self.workspace.path.glob(f"kwok/clusters/{_NAME}/logs/*.log"))
        return "\n".join(f"{log.name}:\n{last_lines(log.read_text(errors='replace'))}" for log in logs)

    def _create(self) -> None:
        """Have kwokctl start the servers, on ports that are free now."""
        home = self.workspace.path / "kwok"
        config = self.workspace.path / "kwokctl.json"
        shutil.rmtree(home, ignore_errors=True)
        ports = free_ports(5)
        self.api_port = ports[2]
        settings = _configuration(self._programs, self._arguments, *ports)
        settings["options"]["kubeApiserverCertSANs"] = list(self.CERTIFIED)
        config.write_text(json.dumps(settings))
        kwokctl = self.workspace.link(self._programs["kwokctl"])
        create: list[str | Path] = [
            *self.prefix,
            kwokctl,
            "--config",
            config,
            "create",
            "cluster",
            "--name",
            _NAME,
            "--wait",
            f"{_READY_S}s",
        ]
        environment = {**self.environment, "KWOK_WORKDIR": str(home)}
        try:
            run([*create, "--kubeconfig", self.kubeconfig], env=environment, timeout_s=_READY_S + 10)
        except CommandFailed as error:
            log_lines = self.last_words()
            run([*self.prefix, kwokctl, "delete", "cluster", "--name", _NAME], env=environment, check=False)
            raise CommandFailed(f"the control plane did not start: {error}\n{log_lines}") from error


def _configuration(
    programs: Programs,
    sections: Mapping[str, Mapping[str, str]],
    etcd: int,
    peer: int,
    api: int,
    manager: int,
    scheduler: int,
) -> dict[str, Any]:
    """Return what kwokctl reads: programs instead of downloads, and ports on loopback."""
    etcd_url, peer_url = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
    arguments = {
        "etcd": {
            "unsafe-no-fsync": "true",  # the data are thrown away
            "listen-client-urls": etcd_url,
            "advertise-client-urls": etcd_url,
            "listen-peer-urls": peer_url,
            "initial-advertise-peer-urls": peer_url,
            "initial-cluster": f"node0={peer_url}",
        },
        "kube-apiserver": {
            "bind-address": "127.0.0.1",
            "advertise-address": _ADVERTISED,
            "endpoint-reconciler-type": "none",
        },
        "kube-controller-manager": {"bind-address": "127.0.0.1"},
        "kube-scheduler": {"bind-address": "127.0.0.1"},
    }
    return {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": {
            "runtime": "binary",
            "components": list(arguments),
            "disableQPSLimits": True,
            "etcdPort": etcd,
            "kubeApiserverPort": api,
            "kubeControllerManagerPort": manager,
            "kubeSchedulerPort": scheduler,
            "etcdBinary": str(programs["etcd"]),
            "kubeApiserverBinary": str(programs["kube-apiserver"]),
            "kubeControllerManagerBinary": str(programs["kube-controller-manager"]),
            "kubeSchedulerBinary": str(programs["kube-scheduler"]),
        },
        "componentsPatches": [
            {"name": name, "extraArgs": [{"key": key, "value": value} for key, value in pairs.items()]}
            for name, pairs in ((name, {**pairs, **sections.get(name, {})}) for name, pairs in arguments.items())
        ],
    }
