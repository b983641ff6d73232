"""Hold a drain whose pods do not fit on other nodes."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def capacity(context: GuardInput) -> Hold | None:
    """Hold a drain unless all pods that it evicts fit on other nodes."""
    if context.nodes is None or context.nodes.unschedulable_pod is None:
        return None  # the guard `nodes` holds where nodes are unknown
    own = context.nodes.unschedulable_pod.startswith(f"{context.namespace}/")
    pod = f"pod {context.nodes.unschedulable_pod}" if own else "a pod of another namespace, one"
    return Hold(
        "InsufficientCapacity",
        f"no other node has the capacity for {pod} of node {context.nodes.target}, given its requests and constraints",
    )
