"""The life of a Remediation: intended in writing, guarded, approved, done once, verified, given back."""

from forestall.actions import Outlook, verified
from forestall.journal.history import Needs, overdue, reap
from forestall.journal.journal import Brake, Guard, Journal
from forestall.journal.ledger import draft_of
from forestall.journal.names import name_of

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
