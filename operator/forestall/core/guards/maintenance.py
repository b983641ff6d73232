"""Hold outside of maintenance windows, where any are defined."""

from forestall.core.decision import Hold
from forestall.core.guards.guard_input import GuardInput, format_local_time


def maintenance(context: GuardInput) -> Hold | None:
    """Hold unless each Guardrail or policy with maintenance windows has one that is open."""
    for windows in context.constraints.maintenance_windows:
        if any(window.closes(context.now) is not None for window in windows):
            continue
        first = min(windows, key=lambda window: window.opens(context.now) or float("inf"))
        opens = first.opens(context.now)
        when = format_local_time(opens, first.zone) if opens is not None else "never"
        return Hold(
            "OutsideMaintenanceWindow",
            f"{first.owner} allows {context.action.name} in its maintenance windows only; the next one opens at {when}",
        )
    return None
