"""Objectives in words and colours, as every screen has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from forestall.api.service_level_objective import ServiceLevelObjectiveStatus

STYLES: Final = {
    "Breached": "bold red",
    "AtRisk": "yellow",
    "Exhausted": "red",
    "Healthy": "green",
    "Invalid": "magenta",
}


def burning(status: ServiceLevelObjectiveStatus) -> str:
    """Return the burn rate and the stretch of time that it is taken over; empty where it is not known."""
    over = f" over {status.burn_rate_window}" if status.burn_rate_window else ""
    return f"{status.burn_rate}{over}" if status.burn_rate else ""
