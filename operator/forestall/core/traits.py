"""What an action is: each action declares it once, and guards, verification, rights and docs read it."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["workload", "pod", "node", "object"]
"""What it is aimed at: the objective's workload, one pod of it, a node, or another object of the namespace."""
Disruption = Literal["none", "pod", "workload", "rollout", "node"]
"""Which pods it takes away.

- `none`: none.
- `pod`: one, by an eviction.
- `workload`: all pods of the workload, those that serve too. What its PodDisruptionBudgets and its own bounds allow is
  asked first.
- `rollout`: those that a rollout replaces, bounded by the workload's own `maxUnavailable` alone. A rollback takes away
  what a rollout has broken: the PodDisruptionBudget that the bad rollout has used up would keep it from being mended.
- `node`: all of a node, by evictions. That they find room elsewhere is asked first.
"""
Verification = Literal["indicator", "new pods", "pod", "node", "none"]
"""Which series tell whether it helped.

- `indicator`: every series of the indicator that was the cause.
- `new pods`: those of pods that came since, once there are any; until then every one.
- `pod`: those of pods that came since; before that the one of the pod itself.
- `node`: those of the node.
- `none`: nothing does.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What others have to know of an action. Nothing has a default: an action says all of it."""

    name: str
    """As policies, labels and metrics name it."""
    scope: Scope
    changes_cluster: bool
    """Whether it changes the cluster. What only tells people is neither held by most guards nor counted as done."""
    disruption: Disruption
    sized: bool
    """Whether a number of replicas is what it changes."""
    cause_label: Literal["", "pod", "node"]
    """The label by which the cause must name what it is aimed at; empty where it needs none."""
    verification: Verification
    spent_for: Literal["target", "objective"]
    """For what it is not tried again in an episode where it did not help: the object, or all of the objective."""
    kept_while_at_risk: bool
    """Whether its effect is held while the risk lasts and given back afterwards."""
    undo: str
    """In words, how it is undone."""
    allowed_by_default: bool
    """Whether every namespace may use it where no Guardrail says otherwise."""
    chart_value: str
    """The chart's value that grants its rights; empty where the workload role has them as it comes."""

    @property
    def takes_serving_pods(self) -> bool:
        """Whether it takes away pods of the workload that may serve, for good."""
        return self.disruption in ("pod", "workload")
