"""The life of a Remediation: intended in writing, guarded, approved, done once, verified, given back."""

from forestall.actions import Outlook, verified
from forestall.journal.history import Needs, overdue, reap
from forestall.journal.journal import Journal
from forestall.journal.names import name_of
from forestall.journal.records import draft_of
from forestall.journal.turn import Brake, Guard

__all__ = [
    "Brake",
    "Guard",
    "Journal",
    "Needs",
    "Outlook",
    "draft_of",
    "name_of",
    "overdue",
    "reap",
    "verified",
]
