"""Hold when too many nodes are out of service already."""

from forestall.core.decision import Hold
from forestall.core.guards.context import Context


def nodes(context: Context) -> Hold | None:
    """Hold a cordon that would take more nodes out of service than the Guardrails allow."""
    if context.action != "Cordon":
        return None
    if context.nodes is None:
        return Hold("NodesUnknown", "the nodes could not be counted, so none is cordoned")
    if context.nodes.cordoned < context.nodes.most:
        return None
    return Hold(
        "TooManyNodesCordoned",
        f"{context.nodes.cordoned} nodes are unschedulable already, and the Guardrails allow {context.nodes.most}",
    )
