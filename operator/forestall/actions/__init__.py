"""What can be done about a risk: one action a file, each on the `Cluster` port."""

from collections.abc import Mapping

from forestall.actions.base import Action, End, Moment, Move, Outlook, World, verified
from forestall.actions.cordon import Cordon
from forestall.actions.restart import Restart
from forestall.actions.scale import Floor, Scale, find_floor
from forestall.api.remediation_policy import Rung

ACTIONS: Mapping[str, Action] = {action.name: action for action in (Scale(), Restart(), Cordon())}


def action_name(rung: Rung) -> str:
    """Return the name of the action that a rung holds."""
    if rung.scale is not None:
        return Scale.name
    return Restart.name if rung.restart is not None else Cordon.name


__all__ = [
    "ACTIONS",
    "Action",
    "End",
    "Floor",
    "Moment",
    "Move",
    "Outlook",
    "World",
    "action_name",
    "find_floor",
    "verified",
]
