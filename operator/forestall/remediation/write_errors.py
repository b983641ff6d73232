"""What is said where the API server refuses a change, or does not confirm it."""

from forestall.actions import traits_of
from forestall.api.remediation import Intent
from forestall.core.decision import Hold
from forestall.errors import ClusterError, Denied, Forbidden, Unavailable
from forestall.remediation.rbac_hints import rbac_hint


def unconfirmed_write(change: str, error: Unavailable) -> Hold:
    """Return the Hold for a change about which nothing is known; `change` says which."""
    return Hold("NotConfirmed", f"{change}: {error}; the next cycle looks whether it was done all the same")


def refused_write(error: ClusterError, intent: Intent) -> Hold:
    """Return whose refusal it is: only a right that is missing can be granted."""
    if isinstance(error, Denied) or not isinstance(error, Forbidden):
        return Hold("Refused", f"the API server refuses the change: {error}")
    return Hold("Forbidden", f"{error}. {rbac_hint(str(error), intent.target, traits_of(intent.action))}")
