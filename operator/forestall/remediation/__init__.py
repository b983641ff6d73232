"""The life of a Remediation: intended in writing, guarded, approved, done once, verified, given back."""

from forestall.actions import Outlook, verified
from forestall.remediation.backup import draft_of
from forestall.remediation.context import GuardCheck, PauseCheck
from forestall.remediation.names import name_of
from forestall.remediation.reconciler import RemediationReconciler
from forestall.remediation.retention import RetentionNeeds, delete_expired, expired

__all__ = [
    "GuardCheck",
    "Outlook",
    "PauseCheck",
    "RemediationReconciler",
    "RetentionNeeds",
    "delete_expired",
    "draft_of",
    "expired",
    "name_of",
    "verified",
]
