"""Hold what replaces the pods of a workload while it can spare none."""

from forestall.core.decision import Hold
from forestall.core.guards.context import Context

ROLLS = frozenset({"Restart", "Rollback"})
"""The actions that replace all pods by a rollout, which asks no PodDisruptionBudget itself."""


def disruption(context: Context) -> Hold | None:
    """Hold a rollout while a PodDisruptionBudget allows no disruption, or more pods are missing than one may take."""
    if context.action not in ROLLS:
        return None
    pods = context.around.pods
    if pods is None:
        return Hold("DisruptionUnknown", "whether the workload can spare a pod could not be read, so none is replaced")
    for budget in pods.budgets:
        if budget.allowed <= 0:
            return Hold(
                "DisruptionNotAllowed",
                f"the PodDisruptionBudget {budget.name} of the workload allows no disruption at present",
            )
    missing = pods.wanted - pods.ready
    if missing > pods.spare:
        return Hold(
            "TooFewReady",
            f"{pods.ready} of {pods.wanted} pods are ready; a rollout of the workload may leave out {pods.spare}",
        )
    return None
