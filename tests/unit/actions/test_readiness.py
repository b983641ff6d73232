"""How many replicas serve. The kind: absent is not zero, and not all."""

import pytest

from forestall.actions.readiness import ready_of

OBSERVED = {"observedGeneration": 2}


@pytest.mark.parametrize(
    ("version", "kind", "status", "ready"),
    [
        ("apps/v1", "Deployment", {**OBSERVED, "readyReplicas": 2}, 2),
        ("apps/v1", "Deployment", OBSERVED, 0),
        ("apps/v1", "StatefulSet", OBSERVED, 0),
        ("apps/v1", "DaemonSet", {**OBSERVED, "numberReady": 3}, 3),
        ("apps/v1", "DaemonSet", OBSERVED, None),
        ("v1", "ReplicationController", OBSERVED, 0),
        # Its observedGeneration is a text.
        ("argoproj.io/v1alpha1", "Rollout", {"observedGeneration": "7", "replicas": 4}, 0),
        ("argoproj.io/v1alpha1", "Rollout", {"observedGeneration": "7", "readyReplicas": 4}, 4),
        # Nobody has looked at it yet.
        ("apps/v1", "Deployment", {}, None),
        ("apps/v1", "Deployment", None, None),
        ("argoproj.io/v1alpha1", "Rollout", {}, None),
        # Of other kinds it is not known what they leave out.
        ("example.com/v1", "Game", {**OBSERVED, "replicas": 4}, None),
        ("example.com/v1", "Deployment", OBSERVED, None),
        ("example.com/v1", "Game", {"readyReplicas": 4}, 4),
        # And what is there may be nothing that counts.
        ("example.com/v1", "Game", {**OBSERVED, "readyReplicas": "all"}, None),
        ("example.com/v1", "Game", {**OBSERVED, "readyReplicas": None}, None),
        ("example.com/v1", "Game", {**OBSERVED, "readyReplicas": -1}, None),
        ("example.com/v1", "Game", "fine", None),
    ],
)
def test_what_is_left_out_is_not_all_and_only_known_to_be_none_where_it_is(version, kind, status, ready):
    assert ready_of({"apiVersion": version, "kind": kind, "status": status}) == ready
