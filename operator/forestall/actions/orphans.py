"""Nodes that stay cordoned although the Remediation that cordoned them is gone or has ended.

Deleting a Remediation is a person's right and nothing holds it up; a missing right or a late write can leave a node
behind, too. Such a node is known by its annotation, and is uncordoned like any other: only if it is still ours.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from forestall.actions.node_action import CORDONED_BY, holder_of
from forestall.api.meta import API_VERSION
from forestall.api.remediation import TERMINAL, ObjectRef, Remediation
from forestall.core.untrusted import get_path
from forestall.errors import Conflict, NotFound
from forestall.ports import Cluster, Event

Body = Mapping[str, Any]


async def release_orphans(
    cluster: Cluster, nodes: Sequence[Body], live: Collection[str]
) -> tuple[list[str], list[str]]:
    """Uncordon those of `nodes` that no Remediation holds any more.

    Return the names of those that were uncordoned, and of those that somebody else changed meanwhile.

    `live` are the UIDs of the Remediations that are known to be under way. Whether there are others is asked of the
    cluster, and only where a node looks left behind.

    Raises:
        ClusterError: the cluster could not say, or refuses.
    """
    left = [node for node in nodes if (holder := holder_of(node)) is not None and holder not in live]
    if not left:
        return [], []
    bodies = await cluster.find(API_VERSION, Remediation.KIND)
    holding = {body["metadata"]["uid"] for body in bodies if get_path(body, "status", "phase") not in TERMINAL}
    results: dict[bool, list[str]] = {True: [], False: []}
    for node in left:
        if holder_of(node) not in holding:
            results[await _free(cluster, node)].append(str(node["metadata"]["name"]))
    return results[True], results[False]


async def _free(cluster: Cluster, node: Body) -> bool:
    """Uncordon a node; return False where it was changed since it was read, and is to be looked at again."""
    metadata = node["metadata"]
    ref = ObjectRef(api_version="v1", kind="Node", name=metadata["name"], uid=metadata["uid"])
    patch = {"metadata": {"annotations": {CORDONED_BY: None}}, "spec": {"unschedulable": None}}
    try:
        await cluster.patch(ref, patch, metadata["resourceVersion"])
    except (Conflict, NotFound):
        return False
    await cluster.record(
        Event(ref, "Normal", "Uncordoned", "the Remediation that cordoned this node is gone or has ended", "Uncordon")
    )
    return True
