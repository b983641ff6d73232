"""Hold actions that the cluster's admins do not allow in this namespace."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput


def allowance(context: GuardInput) -> Hold | None:
    """Hold unless the Guardrails allow this action in this namespace."""
    if context.allowed:
        return None
    return Hold(
        "NotAllowed",
        f"no Guardrail allows {context.action.name} in namespace {context.namespace}: "
        f"a cluster admin can add it to `spec.allow`",
    )
