"""Which pods of a node a drain moves: as `kubectl drain` has it."""

import pytest

from forestall.actions.pods import sort

OWNER = {"kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": True}
EMPTY_DIR = {"volumes": [{"name": "config", "configMap": {"name": "c"}}, {"name": "scratch", "emptyDir": {}}]}


def pod(*, owner=OWNER, phase="Running", spec=None, **metadata):
    owners = {"ownerReferences": [owner]} if owner else {}
    base = {"name": "web-1", "namespace": "shop", "uid": "u"}
    return {"metadata": {**base, **owners, **metadata}, "spec": spec or {}, "status": {"phase": phase}}


def what(body, *, force=False, delete_empty_dir_data=False):
    found = sort([body], force=force, delete_empty_dir_data=delete_empty_dir_data)
    if found.refused:
        return found.refused[0][1]
    return "evict" if found.to_evict else "going" if found.going else "stays"


DAEMON = {**OWNER, "kind": "DaemonSet"}
NOT_IN_CHARGE = {**OWNER, "controller": False}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (pod(), "evict"),
        (pod(owner={**OWNER, "kind": "Job"}), "evict"),
        (pod(owner=DAEMON), "stays"),
        (pod(owner=DAEMON, spec=EMPTY_DIR), "stays"),
        (pod(owner=None, annotations={"kubernetes.io/config.mirror": "h"}), "stays"),
        (pod(annotations={"forestall.dev/protected": "true"}), "stays"),
        (pod(annotations={"forestall.dev/protected": "false"}), "evict"),
        (
            pod(annotations={"karpenter.sh/do-not-disrupt": "true"}),
            "it has the annotation karpenter.sh/do-not-disrupt: true (`force`)",
        ),
        (pod(annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}), "evict"),
        (pod(owner=None), "no controller replaces it (`force`)"),
        (pod(owner=NOT_IN_CHARGE), "no controller replaces it (`force`)"),
        (pod(spec=EMPTY_DIR), "its emptyDir data would be lost (`deleteEmptyDirData`)"),
        (pod(owner=None, phase="Succeeded"), "evict"),
        (pod(phase="Failed", spec=EMPTY_DIR), "evict"),
        (pod(deletionTimestamp="2026-01-01T00:00:00Z"), "going"),
        (pod(owner=None, deletionTimestamp="2026-01-01T00:00:00Z"), "going"),
    ],
)
def test_each_pod_is_handled_as_kubectl_does(body, expected):
    assert what(body) == expected


def test_each_flag_is_for_its_own_obstacle():
    assert what(pod(owner=None), force=True) == "evict"
    safe = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    assert what(pod(annotations={safe: "false"}), force=True) == "evict"
    assert what(pod(annotations={safe: "false"}), delete_empty_dir_data=True) != "evict"
    assert what(pod(spec=EMPTY_DIR), delete_empty_dir_data=True) == "evict"
    assert what(pod(spec=EMPTY_DIR), force=True) != "evict"
    assert what(pod(owner=None), delete_empty_dir_data=True) != "evict"
