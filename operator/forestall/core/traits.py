"""The traits of actions: each action declares its own, and guards, verification, RBAC hints and docs read them."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["workload", "pod", "node", "object"]
"""The kind of target: the objective's workload, one of its pods, a node, or another object of the namespace."""
Disruption = Literal["none", "pod", "workload", "rollout", "node"]
"""Which pods the action removes.

- `none`: none.
- `pod`: one pod, by an eviction.
- `workload`: all pods of the workload, ready ones included. The guard checks its PodDisruptionBudgets and its own
  rollout bounds first.
- `rollout`: the pods that a rollout replaces, bounded by the `maxUnavailable` of the workload only. A rollback repairs
  a bad rollout: a PodDisruptionBudget that the bad rollout has used up must not prevent it.
- `node`: all pods of a node, by evictions. The guard checks first that they fit on other nodes.
"""
Verification = Literal["indicator", "new pods", "pod", "node", "none"]
"""Which series verify the action.

- `indicator`: all series of the indicator that was the cause.
- `new pods`: the series of pods that are new since the action; all series until there are any.
- `pod`: the series of pods that are new since the action; before that the series of the pod itself.
- `node`: the series of the node.
- `none`: the action is not verified.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionTraits:
    """The traits of an action. None has a default: each action declares all of them."""

    name: str
    """Its name in policies, labels and metrics."""
    scope: Scope
    changes_cluster: bool
    """Whether it changes the cluster. An action that only notifies skips most guards and uses no budget."""
    disruption: Disruption
    changes_replicas: bool
    """Whether it changes a number of replicas."""
    cause_label: Literal["", "pod", "node"]
    """The label of the cause that names the target; empty where the action needs none."""
    verification: Verification
    lowers_risk: bool
    """Whether it is meant to lower the risk. Otherwise it keeps what serves away from the risk: no action on a node
    empties a disk that the pods do not fill. That the risk stays is then no failure of the action, and locks no
    policy."""
    spent_for: Literal["target", "objective"]
    """Where it is not tried again in an episode in which it did not help: on the target, or for the objective."""
    kept_while_at_risk: bool
    """Whether its effect is kept while the risk lasts and undone afterwards."""
    undo: str
    """How it is undone, as a sentence for people."""
    allowed_by_default: bool
    """Whether every namespace may use it where no Guardrail says otherwise."""
    chart_value: str
    """The chart value that grants its rights; empty where the default role of the chart has them."""

    @property
    def reason_still_at_risk(self) -> Literal["NotHelped", "Contained"]:
        """The verdict where the risk stays after the policy's time."""
        return "NotHelped" if self.lowers_risk else "Contained"

    @property
    def takes_serving_pods(self) -> bool:
        """Whether it removes pods of the workload that may be ready."""
        return self.disruption in ("pod", "workload")
