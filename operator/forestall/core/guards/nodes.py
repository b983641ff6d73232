"""Hold when too many nodes are out of service already, or the wrong ones."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput, Nodes


def nodes(context: GuardInput) -> Hold | None:
    """Hold what would take more nodes out of service than the Guardrails allow, or one too many of a kind."""
    if context.action.scope != "node":
        return None
    found = context.nodes
    if found is None:
        return Hold("NodesUnknown", "the nodes or their pods could not be listed, so no node is touched")
    return _too_many(found) or _last(found) or _control_plane(found)


def _too_many(found: Nodes) -> Hold | None:
    if len(found.out) < found.most:
        return None
    # How many, and not which: nodes are not the policy's author's to know.
    return Hold(
        "TooManyNodesCordoned",
        f"{len(found.out)} other nodes are out of service, or will be, and the Guardrails allow {found.most} in all",
    )


def _last(found: Nodes) -> Hold | None:
    if found.left > 0:
        return None
    return Hold("LastNode", f"no other node takes the pods that run on {found.target}: it is the last one of its kind")


def _control_plane(found: Nodes) -> Hold | None:
    if not found.control_plane or not found.control_planes_out:
        return None
    return Hold(
        "ControlPlane",
        f"{found.target} is of the control plane, and so is another node that is out of service: one at most",
    )
