"""Hold an action that replaces the pods of a workload while it would remove ready pods that are needed."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput
from forestall.core.wording import is_or_are, plural


def disruption(context: GuardInput) -> Hold | None:
    """Hold an action that could remove more pods than a PodDisruptionBudget or the workload's rollout allows.

    Without a ready pod there is nothing to protect. Nor is there where unready pods have used up the budget and the
    rollout is bounded, since it replaces the unready pods first.
    """
    if context.action.disruption != "workload":
        return None
    pods = context.constraints.pods
    if pods is None:
        return Hold(
            "DisruptionUnknown", "how many pods the workload can spare could not be read, so no pod is replaced"
        )
    if pods.ready <= 0:
        return None
    missing = pods.desired - pods.ready
    for budget in pods.budgets:
        if budget.disruptions_allowed is None:
            return Hold(
                "DisruptionUnknown",
                f"the PodDisruptionBudget {budget.name} can't be interpreted: it may select the workload and allow no "
                f"disruption",
            )
        if budget.disruptions_allowed <= 0 and not (pods.is_bounded and missing > 0):
            return Hold(
                "DisruptionNotAllowed",
                f"the PodDisruptionBudget {budget.name} of the workload allows no disruption at present"
                + (f": {budget.message}" if budget.message else ""),
            )
    if missing > pods.max_unavailable and (pods.is_rolling or not pods.is_bounded):
        return Hold(
            "TooFewReady",
            f"{pods.ready} of {plural(pods.desired, 'pod')} {is_or_are(pods.ready)} ready; "
            f"a rollout of the workload may leave out {pods.max_unavailable}"
            + (", and one is under way" if pods.is_rolling else ""),
        )
    return None
