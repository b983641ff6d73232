"""Which cluster is started, and what a kind cluster asks of kind and of the machine."""

import shutil

import pytest

from forestall.devcluster.controlplane import ControlPlane
from forestall.devcluster.kind import KindCluster
from forestall.devcluster.programs import MODULES
from forestall.devcluster.provider import local_cluster, local_programs
from forestall.errors import CommandFailed, InvalidInput, MissingTool

# Notes what it is asked to do, and writes the kubeconfig that it is asked for.
KIND = """#!/bin/sh
echo "$@" >> "$NOTES"
while [ $# -gt 0 ]; do
    if [ "$1" = --kubeconfig ]; then echo {} > "$2"; fi
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
    (tools / "sh").symlink_to(shutil.which("sh"))
    monkeypatch.setenv("FORESTALL_PROGRAMS", str(programs))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.delenv("FORESTALL_CLUSTER", raising=False)
    return tools


def tool(tools, name, script):
    (tools / name).write_text(script)
    (tools / name).chmod(0o755)


def noting(programs, *names):
    """Have programs note how they are run."""
    for name in names:
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "$NOTES"\n')


def test_kwok_is_the_default(tools):
    cluster = local_cluster(local_programs())
    assert isinstance(cluster, ControlPlane)
    cluster.stop()


def test_kind_is_started_and_deleted_when_asked_for(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("FORESTALL_CLUSTER", "kind")
    tool(tools, "docker", "#!/bin/sh\n")
    tool(tools, "kind", KIND)
    noting(tmp_path / "programs", "kubectl", "kwok")
    with local_cluster(local_programs(), nodes=2, start_up_s=5) as cluster:
        assert isinstance(cluster, KindCluster)
        assert cluster.kubeconfig.exists()
        cluster.load("forestall:0.1.0")
    said = (tmp_path / "notes").read_text().splitlines()
    assert said[0].startswith(f"create cluster --name {cluster.name} ")
    assert said[1] == "kubectl taint node --all node-role.kubernetes.io/control-plane=:NoSchedule --overwrite"
    assert f"load docker-image forestall:0.1.0 --name {cluster.name}" in said
    assert said[-1] == f"delete cluster --name {cluster.name}"
    assert [line for line in said if line.startswith("kwok --kubeconfig")]


def test_kind_without_played_nodes_keeps_its_own_for_real_pods(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("FORESTALL_CLUSTER", "kind")
    tool(tools, "docker", "#!/bin/sh\n")
    tool(tools, "kind", KIND)
    noting(tmp_path / "programs", "kubectl", "kwok")
    with local_cluster(local_programs(), nodes=0):
        pass
    assert not [line for line in (tmp_path / "notes").read_text().splitlines() if "taint" in line or "kwok" in line]


def test_kind_asks_for_no_programs_of_a_control_plane(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("FORESTALL_CLUSTER", "kind")
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwokctl"):
        (tmp_path / "programs" / name).unlink()
    assert "etcd" not in list(local_programs())


def test_cluster_that_kind_cannot_start_is_deleted_too(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("FORESTALL_CLUSTER", "kind")
    tool(tools, "docker", "#!/bin/sh\n")
    tool(tools, "kind", '#!/bin/sh\necho "$@" >> "$NOTES"; echo no room >&2; exit 1\n')
    cluster = local_cluster(local_programs())
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
        local_cluster(local_programs()).__enter__()


def test_other_clusters_are_refused(tools, monkeypatch):
    monkeypatch.setenv("FORESTALL_CLUSTER", "minikube")
    with pytest.raises(InvalidInput, match="FORESTALL_CLUSTER is 'minikube'"):
        local_cluster(local_programs())
