"""Experts: each says in its own way what the coming horizon brings.

Path experts forecast the maximum; how wrong they usually are is learned from the outside (``residuals.py``). Event
experts name the circumstances; how often those were followed by a breach is counted from the outside (``rates.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from forestall.core.forecast.experts.climatology import Climatology
from forestall.core.forecast.experts.holt import Holt
from forestall.core.forecast.experts.persistence import Persistence
from forestall.core.forecast.experts.profile import Profile
from forestall.core.forecast.experts.season import Season
from forestall.core.forecast.experts.situation import Situation
from forestall.core.forecast.experts.trend import LinearTrend

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame
    from forestall.core.forecast.settings import ForecastSettings


class PathExpert(Protocol):
    """One way to forecast maxima. Its state, if any, has the rows last in every array."""

    @property
    def name(self) -> str: ...

    def awake(self, frame: Frame, index: int) -> NDArray[np.bool_]:
        """For which series it has a forecast for horizon number ``index``: (rows,)."""

    def state(self) -> Sequence[NDArray[np.generic]]:
        """The arrays of its state, to be moved between banks."""

    def observe(self, frame: Frame) -> None:
        """Take the newest column in; called once for each."""

    def maximum(self, frame: Frame, index: int) -> Floats:
        """Forecast of the largest value within horizon number ``index``, finite for each row: (rows,)."""


class EventExpert(Protocol):
    """A classification of circumstances, of which there are ``kinds``."""

    @property
    def name(self) -> str: ...

    @property
    def kinds(self) -> int: ...

    @property
    def memory(self) -> float:
        """The horizons in the same circumstances over which the rate of breaches is discounted."""

    def kind(self, frame: Frame, steps: int) -> NDArray[np.intp]:
        """The circumstances of a forecast for the next ``steps``: (rows,)."""


def path_experts(rows: int, horizons: Sequence[int], settings: ForecastSettings, history: float) -> list[PathExpert]:
    """The experts that forecast maxima of any series, for ``rows`` series and horizons in steps.

    Periods that are longer than the ``history`` (s) that is kept have no profile.
    """
    return [
        Persistence(),
        Holt(rows, horizons),
        LinearTrend(1, rows, horizons),
        LinearTrend(4, rows, horizons),
        *(Profile(period, rows, horizons) for period in settings.periods if period < history),
    ]


def event_experts(settings: ForecastSettings) -> list[EventExpert]:
    """The experts that count breaches; the first is the base rate that the others shrink to."""
    return [Climatology(24), Climatology(6), Situation(), *(Season(period) for period in settings.periods)]
