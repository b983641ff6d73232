"""Mark a node as unschedulable, and uncordon it when it has been healthy for a while."""

from typing import ClassVar

from forestall.actions.node_action import NodeAction
from forestall.core.traits import ActionTraits


class Cordon(NodeAction):
    """The action `cordon`."""

    traits: ClassVar[ActionTraits] = ActionTraits(
        name="Cordon",
        scope="node",
        changes_cluster=True,
        disruption="none",
        changes_replicas=False,
        cause_label="node",
        verification="node",
        lowers_risk=False,
        spent_for="target",
        kept_while_at_risk=True,
        undo="uncordon the node, if it was this remediation that cordoned it",
        allowed_by_default=False,
        chart_value="nodes.enabled",
    )
    _verb: ClassVar[str] = "cordon"
    _contained: ClassVar[str] = "new pods were kept away"
