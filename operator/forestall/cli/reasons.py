"""What the reasons of decisions, conditions and Remediations mean, and what a person can do about each.

`explain` shows the advice; `docs/reference/reasons.md` is generated from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason."""

    meaning: str
    advice: str = ""
    """What to do; empty where nothing is wrong."""


DECISIONS: Final[dict[str, Reason]] = {
    "BreachForecast": Reason("The trigger of the policy is met, and the action answers the cause."),
    "BelowThreshold": Reason("The breach probability is below the policy's `when.probability`."),
    "NotSustained": Reason("The trigger is met, but not yet for as long as `when.for` asks."),
    "NoForecast": Reason(
        "The forecaster says nothing about this indicator; the message says why.",
        "Too little history: wait. Otherwise look at the objective's conditions.",
    ),
    "NoRungForCause": Reason(
        "No action of the policy answers the indicator that is the cause.",
        "Add an action for this indicator, or leave the `indicators` of an action empty: it answers all then.",
    ),
    "LadderExhausted": Reason(
        "Every action that answers the cause was tried in this episode and did not help.",
        "Look yourself: forestall has nothing left to try until the risk has ended.",
    ),
    "NodeUnknown": Reason(
        "The cause's series has no label that names the node to cordon.",
        "Write the query so that its series keep the label `node`, and set `per: node`.",
    ),
    "NotScalable": Reason(
        "The target has no replicas to scale.", "Choose a target with a /scale subresource, or another action."
    ),
    "BelowMinimum": Reason(
        "The target is smaller than the policy's `minReplicas`, and is left alone.",
        "A workload that was scaled down on purpose stays so; lower `minReplicas` if it was not.",
    ),
    "AtMaximum": Reason(
        "The target has the policy's `maxReplicas` already.",
        "Raise `maxReplicas` if the cluster has the room, or add an action that helps otherwise.",
    ),
    "LargeEnough": Reason(
        "The forecast asks for no more replicas than there are.",
        "If the risk is real, the sizing is wrong: check `capacity`, its indicator and its headroom.",
    ),
    "SizeUnknown": Reason(
        "How many replicas the forecast needs cannot be said.",
        "Declare the capacity (`type: Declared` with `perReplica`), or name a sizing indicator that has a forecast.",
    ),
    "DataNotFresh": Reason(
        "The newest data of the cause is missing, too old or not a number; nothing is done on such data.",
        "Run the indicator's query in Prometheus. Compare the age of its points with the source's `staleAfter`.",
    ),
    "Paused": Reason(
        "A Guardrail pauses every action in the cluster.",
        "Ask the cluster's admins; they set `paused: false` to go on.",
    ),
    "Suspended": Reason("The policy is suspended.", "Set `suspend: false` in the policy to go on."),
    "NotAllowed": Reason(
        "No Guardrail allows this action in this namespace.",
        "Ask the cluster's admins to add the namespace and the action to `allow` of the Guardrail.",
    ),
    "RemediationActive": Reason("Another remediation is under way on the same target; there is one at a time."),
    "DependencyAtRisk": Reason(
        "An objective that this one depends on is at risk itself; this one is its victim.",
        "Look at that one first: `forestall explain` it.",
    ),
    "Locked": Reason(
        "The policy's last remediation did not help, and nobody has looked at it since.",
        "Look at that Remediation, then give feedback on it, or edit the policy: both unlock.",
    ),
    "Cooldown": Reason("A remediation of the target ended a short while ago; the policy's `cooldown` is not over."),
    "NodesUnknown": Reason(
        "The nodes could not be counted, so none is cordoned.",
        "Install the chart with node rights, or leave cordon out of the policy.",
    ),
    "TooManyNodesCordoned": Reason(
        "As many nodes are unschedulable as the Guardrails allow.",
        "Uncordon what is healthy, or raise `nodes.maxCordoned` of the Guardrail.",
    ),
    "BudgetExhausted": Reason(
        "More was done lately than the Guardrails' budget allows.",
        "Look why so much is done at once. The budget refills by itself.",
    ),
}
"""Of a policy: `status.decisions[].reason` of an objective."""

CONDITIONS: Final[dict[str, Reason]] = {}
"""Of conditions: `status.conditions[].reason`."""

OUTCOMES: Final[dict[str, Reason]] = {}
"""Of the life of a Remediation: `status.reason`."""

ALL: Final[dict[str, dict[str, Reason]]] = {"decisions": DECISIONS, "conditions": CONDITIONS, "outcomes": OUTCOMES}


def advice(reason: str) -> str:
    """Return what a person can do about a reason; empty where nothing is wrong, or nothing is known."""
    return next((known[reason].advice for known in ALL.values() if reason in known), "")
