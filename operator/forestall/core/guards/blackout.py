"""Hold while a blackout window is open."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput, moment


def blackout(context: GuardInput) -> Hold | None:
    """Hold while any of the blackout windows is open."""
    for window in context.around.blackouts:
        if (stretch := window.open_until(context.now)) is not None:
            until, ends = stretch
            when = f"until {moment(until, window.zone)}{'' if ends else ' or later'}"
            return Hold("BlackoutWindow", f"{window.whose} forbids {context.action} {when}")
    return None
