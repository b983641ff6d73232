"""By when the parts of a cycle end, so that the whole of it does: what is late is left out, and the rest goes on.

Each part has what those before it have left. On an idle machine none comes near its end; where a source, the API server
or somebody's webhook is slow, each part still has its time.
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
    """Return why something was not done in this cycle: the words of the error, or that its time was over."""
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
        """By when the sources have told the values of now."""
        return self._at(_VALUES)

    @property
    def observed(self) -> float:
        """By when the past and the windows have been read, as far as there was time."""
        return self._at(OBSERVED)

    @property
    def checked(self) -> float:
        """By when targets have been looked at."""
        return self._at(_CHECKED)

    @property
    def decided(self) -> float:
        """By when it is decided about every objective."""
        return self._at(_DECIDED)

    @property
    def driven(self) -> float:
        """By when the remediations have gone on."""
        return self._at(_DRIVEN)

    @property
    def written(self) -> float:
        """By when statuses are written."""
        return self._at(_WRITTEN)

    @property
    def over(self) -> float:
        """By when all is over."""
        return self._at(_OVER)

    def _at(self, share: float) -> float:
        return self._began + share * self._limit
