"""The deadlines of a cycle's phases. What is late is skipped, and the rest of the cycle goes on.

Each phase may use the time that the phases before it left. Normally none comes near its deadline; where a source, the
API server or a webhook is slow, the later phases still have time.
"""

import asyncio
from typing import Final

from forestall.engine.settings import OBSERVED, Settings

_VALUES: Final = 0.5
_CHECKED: Final = 0.75
_DECIDED: Final = 0.8
_DRIVEN: Final = 0.9
_WRITTEN: Final = 0.96
_OVER: Final = 0.99


def failure_text(error: Exception) -> str:
    """Return why something was not done in this cycle: the error's message, or that its deadline passed."""
    return str(error) or "no time was left for it in this cycle"


class Deadlines:
    """The deadlines of one cycle, in seconds of the event loop's clock."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.limit
        self._began = 0.0

    def begin(self) -> None:
        """Begin a cycle."""
        self._began = asyncio.get_running_loop().time()

    @property
    def values(self) -> float:
        """When the sources must have answered with present values."""
        return self._at(_VALUES)

    @property
    def observed(self) -> float:
        """When reading history and windows stops."""
        return self._at(OBSERVED)

    @property
    def checked(self) -> float:
        """When checking targets stops."""
        return self._at(_CHECKED)

    @property
    def decided(self) -> float:
        """When deciding about objectives stops."""
        return self._at(_DECIDED)

    @property
    def driven(self) -> float:
        """When driving Remediations stops."""
        return self._at(_DRIVEN)

    @property
    def written(self) -> float:
        """When writing statuses stops."""
        return self._at(_WRITTEN)

    @property
    def over(self) -> float:
        """When the cycle is given up."""
        return self._at(_OVER)

    def _at(self, share: float) -> float:
        return self._began + share * self._limit
