"""A custom resource with a /scale subresource and no other controller."""

from typing import Any

Body = dict[str, Any]

_SCHEMA = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
POOLS: Body = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "pools.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Pool", "plural": "pools"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": _SCHEMA},
                "subresources": {
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
                },
            }
        ],
    },
}


def pool(name: str, namespace: str) -> Body:
    """Return a Pool with one replica."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "example.com/v1", "kind": "Pool", "metadata": metadata, "spec": {"replicas": 1}}
