"""A decider whose collaborators are fakes of a test."""

from typing import Any

from forestall.engine.decider import Decider
from forestall.engine.guard_input import GuardInputGatherer


class Unhindered:
    """Fakes without obstacles: no pause, no missing permission, no nodes. A test overrides what it needs."""

    async def distrust(self, *_: Any) -> Any:
        return None

    async def nodes(self) -> None:
        return None

    def paused_by(self, *_: Any) -> None:
        return None

    async def why_not(self, *_: Any) -> Any:
        return None


def decider_of(world: Any) -> Decider:
    """Return a decider that uses only these fakes."""
    gatherer = GuardInputGatherer(world, world, world, world)
    for name in ("context", "distrust"):
        setattr(gatherer, name, getattr(world, name))
    return Decider(world, world, gatherer, world, world)
