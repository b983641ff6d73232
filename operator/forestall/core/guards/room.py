"""Hold a drain whose pods would find no place."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def room(context: GuardInput) -> Hold | None:
    """Hold a drain unless every pod that it moves finds room on another node."""
    if context.nodes is None or context.nodes.homeless is None:
        return None  # that nothing is known of the nodes is said by another guard
    own = context.nodes.homeless.startswith(f"{context.namespace}/")
    pod = f"pod {context.nodes.homeless}" if own else "a pod of another namespace, one"
    return Hold(
        "NoRoom",
        f"no other node has room for {pod} of node {context.nodes.target}, by what it requests and where it may run",
    )
