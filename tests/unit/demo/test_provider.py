"""Which cluster is started, and what a kind cluster asks of kind and of the machine."""

import json
import shutil

import pytest

from forestall.demo.controlplane import ControlPlane
from forestall.demo.kind import KindCluster
from forestall.demo.programs import MODULES
from forestall.demo.provider import local_cluster
from forestall.demo.show import run_demo
from forestall.errors import CommandFailed, InvalidInput, MissingTool

# Notes what it is asked to do, and writes the kubeconfig that it is asked for.
KIND = """#!/bin/sh
echo "$@" >> "$NOTES"
while [ $# -gt 0 ]; do
    if [ "$1" = --kubeconfig ]; then echo {} > "$2"; fi
    if [ "$1" = --config ]; then cp "$2" "$NOTES.config"; fi
    shift
done
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A machine with the programs, without kind and Docker: the folder of its tools is returned."""
    programs, tools = tmp_path / "programs", tmp_path / "tools"
    programs.mkdir()
    tools.mkdir()
    for name in (name for module in MODULES for name in module.programs):
        (programs / name).touch(mode=0o755)
    for name in ("sh", "cp"):
        (tools / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("FORESTALL_PROGRAMS", str(programs))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.delenv("FORESTALL_CLUSTER", raising=False)
    return tools


def tool(tools, name, script):
    (tools / name).write_text(script)
    (tools / name).chmod(0o755)


def test_kwok_is_the_default(tools):
    cluster = local_cluster(nodes=1, start_up_s=0)
    assert isinstance(cluster, ControlPlane)
    cluster.stop()


def test_kind_is_started_and_deleted_when_asked_for(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("FORESTALL_CLUSTER", "kind")
    tool(tools, "docker", "#!/bin/sh\n")
    tool(tools, "kind", KIND)
    with local_cluster(nodes=2, start_up_s=5) as cluster:
        assert isinstance(cluster, KindCluster)
        assert cluster.kubeconfig.exists()
        name = cluster.workspace.path.name
        with pytest.raises(CommandFailed, match="nodes are real"):
            cluster.scale_nodes(3)
        with pytest.raises(CommandFailed, match="pods are real"):
            cluster.set_start_up(3)
    create, delete = (tmp_path / "notes").read_text().splitlines()
    assert create.startswith(f"create cluster --name {name} --config ")
    assert delete == f"delete cluster --name {name}"
    roles = [node["role"] for node in json.loads((tmp_path / "notes.config").read_text())["nodes"]]
    assert roles == ["control-plane", "worker", "worker"]


def test_cluster_that_kind_cannot_start_is_deleted_too(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("FORESTALL_CLUSTER", "kind")
    tool(tools, "docker", "#!/bin/sh\n")
    tool(tools, "kind", '#!/bin/sh\necho "$@" >> "$NOTES"; echo no room >&2; exit 1\n')
    cluster = local_cluster(nodes=1, start_up_s=0)
    with pytest.raises(CommandFailed, match="no room"):
        cluster.__enter__()
    assert (tmp_path / "notes").read_text().splitlines()[-1].startswith("delete cluster")
    assert not cluster.workspace.path.exists()


@pytest.mark.parametrize(
    ("scripts", "message"),
    [
        ({}, "kind is not on the PATH"),
        ({"kind": KIND}, "needs Docker, which is not on the PATH"),
        (
            {"kind": KIND, "docker": "#!/bin/sh\necho no daemon >&2; exit 1\n"},
            r"engine does not answer.*(?s:.)*no daemon",
        ),
    ],
)
def test_what_kind_lacks_is_said(tools, monkeypatch, scripts, message):
    monkeypatch.setenv("FORESTALL_CLUSTER", "kind")
    for name, script in scripts.items():
        tool(tools, name, script)
    with pytest.raises(MissingTool, match=message):
        local_cluster(nodes=1, start_up_s=0).__enter__()


def test_other_clusters_are_refused(tools, monkeypatch):
    monkeypatch.setenv("FORESTALL_CLUSTER", "minikube")
    with pytest.raises(InvalidInput, match="FORESTALL_CLUSTER is 'minikube'"):
        local_cluster(nodes=1, start_up_s=0)


def test_the_demo_says_that_it_takes_no_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESTALL_CLUSTER", "kind")
    with pytest.raises(InvalidInput, match="unset FORESTALL_CLUSTER"):
        run_demo("surge")
