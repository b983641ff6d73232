"""The operator's image, installed by the chart on real nodes: as seen from inside, and when its leader goes."""

import json
import time

from forestall.devcluster.nodes import RealNodes

NAMESPACE = "forestall-system"
INSIDE = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
def writable(path):
    try:
        open(path + "/forestall-test", "w").close()
    except OSError:
        return False
    os.remove(path + "/forestall-test")
    return True
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(), "groups": os.getgroups(),
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "seccomp": int(status["Seccomp"]), "no_new_privileges": int(status["NoNewPrivs"]),
    "writable": [path for path in ("/", "/etc", "/usr", "/opt", "/var", "/home", "/tmp") if writable(path)],
}))
"""


def operator_pods(operator: RealNodes) -> list[str]:
    selector = "app.kubernetes.io/name=forestall"
    names = operator.kubectl("get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "name").stdout.split()
    return [name.removeprefix("pod/") for name in names]


def leader(operator: RealNodes) -> str:
    return str(operator.get("lease", "forestall", NAMESPACE)["spec"]["holderIdentity"])


def test_both_replicas_are_ready_on_different_nodes_and_have_not_restarted(operator):
    pods = [operator.get("pod", name, NAMESPACE) for name in operator_pods(operator)]
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node-1", "node-2"}
    statuses = [status for pod in pods for status in pod["status"]["containerStatuses"]]
    assert [(status["ready"], status["restartCount"]) for status in statuses] == [(True, 0), (True, 0)]


def test_seen_from_inside_it_has_no_rights_beyond_those_of_an_ordinary_user(operator):
    """Group 0, which many images are left in, may read and write what is meant for root's group."""
    for name in operator_pods(operator):
        command = ["exec", "-n", NAMESPACE, name, "--", "python3", "-c", INSIDE]
        inside = json.loads(operator.kubectl(*command).stdout)
        assert inside["user"] == 65532
        assert inside["group"] == 65532
        assert 0 not in inside["groups"]
        assert inside["capabilities"] == [0, 0, 0]
        assert inside["seccomp"] == 2  # a filter, the container runtime's
        assert inside["no_new_privileges"] == 1
        assert inside["writable"] == ["/tmp"]


def test_another_replica_takes_over_from_a_leader_whose_pod_is_deleted(operator):
    before = leader(operator)
    (pod,) = [name for name in operator_pods(operator) if name in before]
    operator.kubectl("delete", "pod", pod, "-n", NAMESPACE, "--wait=false")
    deadline = time.monotonic() + 120
    while leader(operator) == before:
        assert time.monotonic() < deadline, "nobody took over"
        time.sleep(0.5)
    operator.kubectl("rollout", "status", "deployment/forestall", "-n", NAMESPACE, "--timeout=120s")


def test_a_drain_moves_a_replica_while_the_other_goes_on(operator):
    """The PodDisruptionBudget lets one go at a time; what has come up elsewhere does not come back by itself."""
    selector = "app.kubernetes.io/name=forestall"
    try:
        operator.kubectl(
            *("drain", "node-1", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s"),
            *("--pod-selector", selector),
            timeout_s=130,
        )
        operator.kubectl("rollout", "status", "deployment/forestall", "-n", NAMESPACE, "--timeout=120s")
        pods = [operator.get("pod", name, NAMESPACE) for name in operator_pods(operator)]
        assert {pod["spec"]["nodeName"] for pod in pods if not pod["metadata"].get("deletionTimestamp")} == {"node-2"}
    finally:
        operator.kubectl("uncordon", "node-1")
