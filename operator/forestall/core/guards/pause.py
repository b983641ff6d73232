"""Hold while people have paused the cluster or suspended the policy."""

from forestall.core.decision import Hold
from forestall.core.guards.context import Context


def pause(context: Context) -> Hold | None:
    """Hold while a Guardrail pauses the cluster, or the policy is suspended."""
    if context.paused is not None:
        return Hold("Paused", f"a Guardrail pauses every action in the cluster{_because(context.paused)}")
    if context.suspended:
        return Hold("Suspended", "the policy is suspended (spec.suspend)")
    return None


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
