"""Hold when too many nodes are out of service already, or the wrong ones."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput, NodeAvailability


def nodes(context: GuardInput) -> Hold | None:
    """Hold an action that takes more nodes out of service than the Guardrails allow, or the last node of its kind."""
    if context.action.scope != "node":
        return None
    availability = context.nodes
    if availability is None:
        return Hold("NodesUnknown", "the nodes or their pods could not be listed, so no node is changed")
    return _too_many(availability) or _last(availability) or _control_plane(availability)


def _too_many(availability: NodeAvailability) -> Hold | None:
    if len(availability.unavailable) < availability.max_unavailable:
        return None
    # The number only: the names of nodes are no information for the author of a policy.
    return Hold(
        "TooManyNodesCordoned",
        f"{len(availability.unavailable)} other nodes are out of service, or will be, "
        f"and the Guardrails allow {availability.max_unavailable} in all",
    )


def _last(availability: NodeAvailability) -> Hold | None:
    if availability.equivalent_nodes > 0:
        return None
    return Hold("LastNode", f"no other node accepts the pods of {availability.target}: it is the last node of its kind")


def _control_plane(availability: NodeAvailability) -> Hold | None:
    if not availability.control_plane or not availability.control_planes_unavailable:
        return None
    return Hold(
        "ControlPlane",
        f"{availability.target} is a control plane node, and another one is out of service: at most one may be",
    )
