"""The operator's image, installed by the chart on real nodes: as seen from inside, and when its leader goes."""

import json

from tests.support.operator_pods import OPERATOR_NAMESPACE, SELECTOR, leader, leading_pod, operator_pods, roll_out
from tests.support.waiting import until

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


def test_both_replicas_are_ready_on_different_nodes_and_have_not_restarted(installed_pods):
    assert {pod["spec"]["nodeName"] for pod in installed_pods} == {"node-1", "node-2"}
    statuses = [status for pod in installed_pods for status in pod["status"]["containerStatuses"]]
    assert [(status["ready"], status["restartCount"]) for status in statuses] == [(True, 0), (True, 0)]


def test_seen_from_inside_it_has_no_rights_beyond_those_of_an_ordinary_user(operator):
    """Group 0, which many images are left in, may read and write what is meant for root's group."""
    for pod in operator_pods(operator):
        command = ["exec", "-n", OPERATOR_NAMESPACE, pod["metadata"]["name"], "--", "python3", "-c", INSIDE]
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
    operator.kubectl(
        "delete", "pod", leading_pod(operator)["metadata"]["name"], "-n", OPERATOR_NAMESPACE, "--wait=false"
    )
    until(lambda: leader(operator) not in ("", before))
    roll_out(operator)


def test_a_drain_moves_a_replica_while_the_other_goes_on(operator):
    """The PodDisruptionBudget lets one go at a time; what has come up elsewhere does not come back by itself."""
    try:
        operator.kubectl(
            *("drain", "node-1", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s"),
            *("--pod-selector", SELECTOR),
            timeout_s=130,
        )
        roll_out(operator)
        assert {pod["spec"]["nodeName"] for pod in operator_pods(operator)} == {"node-2"}
    finally:
        operator.kubectl("uncordon", "node-1")
