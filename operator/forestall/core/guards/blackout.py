"""Hold while a blackout window is open."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput, format_local_time


def blackout(context: GuardInput) -> Hold | None:
    """Hold while any of the blackout windows is open."""
    for window in context.constraints.blackout_windows:
        if (stretch := window.open_until(context.now)) is not None:
            until, ends = stretch
            when = f"until {format_local_time(until, window.zone)}{'' if ends else ' or later'}"
            return Hold("BlackoutWindow", f"{window.owner} forbids {context.action.name} {when}")
    return None
