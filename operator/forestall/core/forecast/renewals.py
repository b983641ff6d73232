"""Which points are new evidence: a source that measures more rarely than it is asked repeats its last value.

The kubelet measures memory every ten seconds or more; recording rules and downsampled stores repeat values as well. A
value that is the same for no longer than it usually takes until the next one says nothing. One that is the same for
longer is a measurement: the series stands still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forestall.core.forecast.frame import Floats

_LEAST_GAP: Final = 2
"""Columns between two changes, twice in a row, from which repeated values are no measurements."""
_LONGEST: Final = 2
"""Times the usual gap that a value may be the same for without being measured again."""


class Renewals:
    """When the value of each row changed last, and how many columns lie between two changes."""

    def __init__(self, rows: int) -> None:
        self.age = np.zeros(rows, dtype=np.float32)
        """Columns since the newest change."""
        self._gaps = np.ones((2, rows), dtype=np.float32)  # the newest first

    def state(self) -> list[NDArray[np.generic]]:
        return [self.age, self._gaps]

    @property
    def gap(self) -> Floats:
        """Usual columns from one measurement to the next: (rows,)."""
        return np.asarray(self._gaps.min(axis=0), dtype=np.float32)

    @property
    def is_repeating(self) -> NDArray[np.bool_]:
        """Which rows repeat values between measurements: (rows,)."""
        return self.gap >= _LEAST_GAP

    def observe(self, fresh: NDArray[np.bool_], changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Take a column in: where there is a point, and where it differs from the one before; both (rows,).

        Returns which points are measured anew.
        """
        self.age += 1
        repeated = self.is_repeating & (self.age < _LONGEST * self.gap)
        self._gaps[:] = np.where(changed, np.stack((self.age, self._gaps[0])), self._gaps)
        self.age[changed] = 0
        return fresh & (changed | ~repeated)
