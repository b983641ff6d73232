"""Experts: each forecasts the maximum of every series over the coming horizon, in its own way.

None knows how wrong it is: that is learned from the outside, from its past errors (``residuals.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from forestall.core.forecast.experts.holt import Holt
from forestall.core.forecast.experts.persistence import Persistence
from forestall.core.forecast.experts.trend import LinearTrend

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats, Frame


class Expert(Protocol):
    """One way to forecast maxima. Its state, if any, has the rows last in every array."""

    name: str

    def state(self) -> Sequence[NDArray[np.generic]]:
        """Arrays that hold all it knows, to be moved between banks."""

    def observe(self, frame: Frame) -> None:
        """Take the newest column in; called once for each."""

    def maximum(self, frame: Frame, horizon: int) -> Floats:
        """Forecast of the largest value of the next ``horizon`` steps, finite for each row: (rows,)."""


def all_experts(rows: int, horizons: Sequence[int]) -> list[Expert]:
    """The experts that are combined, for ``rows`` series and horizons in steps."""
    return [Persistence(), Holt(rows, horizons), LinearTrend(1), LinearTrend(4)]
