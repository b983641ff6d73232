"""What can be done about a risk: one action a file, each on the `Cluster` port.

A new action touches these places:

- its file here, which declares its `traits` and `rights` (see `base.py`), and its line in `ACTIONS` below;
- its field: a model and a field of `Rung`, and its name in `ACTIONS`, in `api/remediation_policy.py`; `ActionName` in
  `api/guardrail.py`; where people can undo it, the rule for `undo` in `api/remediation.py`. Then write the CRDs again;
- its rights: a value and a rule in the chart, `charts/forestall/values.yaml` and `templates/rbac-operator.yaml`;
- its reasons: what each new one means and what to do, in `cli/reasons/`;
- its section in `docs/actions.md`.
"""

from collections.abc import Mapping

from forestall.actions.base import (
    Action,
    Change,
    MultiStepAction,
    NotApplicable,
    ObservedState,
    Outcome,
    RiskOutlook,
    TargetRequest,
    TargetWithLevels,
    TimedOutlook,
    has_helped,
)
from forestall.actions.cordon import Cordon
from forestall.actions.drain import Drain
from forestall.actions.evict import Evict
from forestall.actions.floor import Floor, find_floor
from forestall.actions.job import Job
from forestall.actions.notify import Notify
from forestall.actions.patch import Patch
from forestall.actions.restart import Restart
from forestall.actions.rollback import Rollback
from forestall.actions.scale import Scale
from forestall.api.remediation_policy import Rung
from forestall.core.traits import ActionTraits

ACTIONS: Mapping[str, Action] = {
    action.traits.name: action
    for action in (Scale(), Restart(), Rollback(), Patch(), Job(), Evict(), Cordon(), Drain(), Notify())
}


def traits_of(action: Rung) -> ActionTraits:
    """Return the traits of the action that a rung of a policy, or an intent, carries."""
    return ACTIONS[action.name].traits


__all__ = [
    "ACTIONS",
    "Action",
    "Change",
    "Floor",
    "MultiStepAction",
    "NotApplicable",
    "Notify",
    "ObservedState",
    "Outcome",
    "RiskOutlook",
    "TargetRequest",
    "TargetWithLevels",
    "TimedOutlook",
    "find_floor",
    "has_helped",
    "traits_of",
]
