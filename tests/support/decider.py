"""A decider over a world of a test, which stands for all that it asks."""

from typing import Any

from forestall.engine.decider import Decider
from forestall.engine.guard_input import GuardInputGatherer


class Unhindered:
    """Nothing is in the way: no pause, no missing right, no nodes to be counted. A test says what is around it."""

    async def distrust(self, *_: Any) -> Any:
        return None

    async def nodes(self) -> None:
        return None

    def paused_by(self, *_: Any) -> None:
        return None

    async def why_not(self, *_: Any) -> Any:
        return None


def decider_of(world: Any) -> Decider:
    """Return a decider that asks nobody but this world."""
    gatherer = GuardInputGatherer(world, world, world, world)
    for name in ("context", "distrust"):
        setattr(gatherer, name, getattr(world, name))
    return Decider(world, world, gatherer, world, world)
