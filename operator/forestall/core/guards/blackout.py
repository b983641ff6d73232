"""Hold while a blackout window is open."""

from forestall.core.decision import Hold
from forestall.core.guards.context import Context, moment


def blackout(context: Context) -> Hold | None:
    """Hold while any of the blackout windows is open."""
    for window in context.around.blackouts:
        until = window.closes(context.now)
        if until is not None:
            return Hold("BlackoutWindow", f"{window.whose} forbids {context.action} until {moment(until, window.zone)}")
    return None
