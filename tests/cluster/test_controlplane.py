"""The control plane that the other cluster tests and the demo use."""

import json
import socket
import time
from pathlib import Path

import psutil
import pytest

from forestall.devcluster.cluster import RunningCluster
from forestall.devcluster.controlplane import ControlPlane
from forestall.errors import CommandFailed


def deployment(name, replicas=1, annotations=None):
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels, "annotations": annotations or {}},
        "spec": {"containers": [{"name": "main", "image": "example.com/main"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def rollout_seconds(cluster, namespace, name):
    began = time.monotonic()
    cluster.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, "--timeout=240s", timeout_s=300)
    return time.monotonic() - began


def test_pods_run_on_the_nodes(cluster, namespace):
    cluster.apply(deployment("web", replicas=3), namespace=namespace)
    rollout_seconds(cluster, namespace, "web")
    pods = cluster.items("pods", namespace)
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node-1", "node-2", "node-3"}
    assert len({pod["status"]["podIP"] for pod in pods}) == 3


def test_start_up_time_is_respected_and_may_differ_for_a_pod(cluster, namespace):
    try:
        cluster.set_start_up(4)
        slow = deployment("slow")
        quick = deployment("quick", annotations={"demo.forestall.dev/start-up": "0s"})
        cluster.apply(slow, quick, namespace=namespace)
        assert rollout_seconds(cluster, namespace, "quick") < 3
        pod = cluster.items("pods", namespace, "-l", "app=slow")[0]
        assert pod["status"]["phase"] == "Running"
        assert not pod["status"]["containerStatuses"][0]["ready"]
        rollout_seconds(cluster, namespace, "slow")
        ready = cluster.items("pods", namespace, "-l", "app=slow")[0]
        when = {
            condition["type"]: time.mktime(time.strptime(condition["lastTransitionTime"], "%Y-%m-%dT%H:%M:%SZ"))
            for condition in ready["status"]["conditions"]
        }
        assert 3 <= when["Ready"] - when["PodScheduled"] <= 8  # times are whole seconds
    finally:
        cluster.set_start_up(0)


def test_job_completes(cluster, namespace):
    spec = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example.com/main"}]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": {"spec": spec}}}
    cluster.apply(job, namespace=namespace)
    cluster.kubectl("wait", "--for=condition=Complete", "job/once", "-n", namespace, "--timeout=180s")


def test_nodes_are_added_and_removed_and_other_objects_stay(cluster):
    stranger = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "stranger"}}
    cluster.apply(stranger)
    try:
        cluster.scale_nodes(5)
        assert names(cluster) == {"stranger", *(f"node-{number}" for number in range(1, 6))}
    finally:
        cluster.scale_nodes(3)
        cluster.kubectl("delete", "node", "stranger")
    assert names(cluster) == {"node-1", "node-2", "node-3"}


def names(cluster):
    return {name.removeprefix("node/") for name in cluster.kubectl("get", "nodes", "-o", "name").stdout.split()}


def test_node_condition_set_by_a_person_stays_and_taints_the_node(cluster):
    condition = {"type": "DiskPressure", "status": "True", "reason": "Test", "lastHeartbeatTime": None}
    patch = json.dumps({"status": {"conditions": [condition]}})
    cluster.kubectl("patch", "node", "node-3", "--subresource=status", "-p", patch)
    try:
        taint = 'jsonpath={.spec.taints[?(@.key=="node.kubernetes.io/disk-pressure")].effect}=NoSchedule'
        cluster.kubectl("wait", f"--for={taint}", "node/node-3", "--timeout=180s")
    finally:
        cluster.kubectl("patch", "node", "node-3", "--subresource=status", "-p", patch.replace("True", "False"))


def test_kubeconfig_of_a_service_account_has_exactly_its_permissions(cluster, namespace):
    cluster.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    cluster.kubectl("create", "role", "reader", "-n", namespace, "--verb=list", "--resource=configmaps")
    cluster.kubectl(
        "create", "rolebinding", "reader", "-n", namespace, "--role=reader", f"--serviceaccount={namespace}:reader"
    )
    kubeconfig = cluster.kubeconfig_for(namespace, "reader")
    assert kubeconfig.stat().st_mode & 0o077 == 0
    whoami = json.loads(cluster.kubectl("--kubeconfig", kubeconfig, "auth", "whoami", "-o", "json").stdout)
    assert whoami["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:reader"
    cluster.kubectl("--kubeconfig", kubeconfig, "get", "configmaps")
    with pytest.raises(CommandFailed, match="Forbidden"):
        cluster.kubectl("--kubeconfig", kubeconfig, "get", "secrets")


def test_two_run_side_by_side_on_loopback_and_leave_nothing_running(cluster, programs):
    with ControlPlane(programs) as other:
        other.kubectl("create", "namespace", "only-there")
        assert "only-there" not in cluster.kubectl("get", "namespaces", "-o", "name").stdout
        servers = servers_of(other.workspace.path)
        assert {server.name()[:8] for server in servers} == {"etcd", "kube-api", "kube-con", "kube-sch", "kwok"}
        listening = {
            connection.laddr.ip
            for server in servers
            for connection in server.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
        kubeconfig = other.kubeconfig
    assert not [server for server in servers if server.is_running() and server.status() != psutil.STATUS_ZOMBIE]
    assert not kubeconfig.exists()
    cluster.kubectl("get", "--raw", "/readyz")


def servers_of(folder):
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if command and Path(command[0]).is_relative_to(folder):
            found.append(process)
    return found


def test_control_plane_that_cannot_start_says_why_and_leaves_nothing(programs, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("forestall.devcluster.controlplane.free_ports", lambda count: [port] * count)
        monkeypatch.setattr("forestall.devcluster.controlplane._READY_S", 1)
        monkeypatch.setattr("forestall.devcluster.controlplane._TRIES", 1)
        broken = ControlPlane(programs)
        with pytest.raises(CommandFailed, match="the control plane did not start"):
            broken.__enter__()
    assert not servers_of(broken.workspace.path)
    assert not broken.workspace.path.exists()


def test_kubectl_fails_with_the_message_of_the_server(cluster: RunningCluster):
    with pytest.raises(CommandFailed, match=r'(?s)`kubectl get .*namespaces "no-such" not found'):
        cluster.get("namespace", "no-such")
