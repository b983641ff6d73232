"""Remediations: intended in writing, guarded, approved, done once, verified, reverted.

- `reconciler`: creates them and drives them; `lifecycle`: the phases, with the diagram of their states.
- `store`: where they live in the cluster; `write_ahead`: how a step is made; `transitions`: what all phases share.
- `authorization`, `pause_fence`, `lockouts`: what may keep one, or a policy, from acting.
- `retention`: which ended ones are kept; `backup`: what of them outlives that somebody deletes them.
"""

from forestall.actions import RiskOutlook, has_helped
from forestall.remediation.backup import draft_of
from forestall.remediation.context import GuardCheck, PauseCheck
from forestall.remediation.names import name_of
from forestall.remediation.reconciler import RemediationReconciler
from forestall.remediation.retention import RetentionNeeds, delete_expired, expired

__all__ = [
    "GuardCheck",
    "PauseCheck",
    "RemediationReconciler",
    "RetentionNeeds",
    "RiskOutlook",
    "delete_expired",
    "draft_of",
    "expired",
    "has_helped",
    "name_of",
]
