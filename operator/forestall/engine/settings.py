"""What the engine can be told; everything else follows from the interval."""

from dataclasses import dataclass

_HORIZONS = (4, 20, 60, 120, 360)
_LIMIT = 4
"""After how many intervals a cycle is given up; the next one begins anew from what is written down."""
_VALUES_S = 20.0
"""How long (s) a source is asked for values in one cycle at the most."""
_VALUES_LEAST_S = 4.0
"""So long (s) at the least, unless cycles are shorter still."""
_VALUES = 3 / 8
"""The most of a cycle's limit that the values may take; and with the past and the windows:"""
OBSERVED = 0.7
"""The share of a cycle's limit by which all that is asked of the sources has come, or is late."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds."""

    interval: float = 30.0
    """From one cycle to the next; also the step of the matrix of series."""
    at_risk_from: float = 0.8
    """The breach probability from which an objective without a policy counts as at risk."""
    lease: str | None = None
    """The operator's Lease as NAMESPACE/NAME, which statuses name for people who ask whether anybody looks."""
    concurrency: int = 16
    """How many objects are worked on at once."""
    threads: bool = True
    """Whether what takes long is done in a thread, while a lease is renewed and probes are answered."""

    series: int = 50_000
    """How many series are kept with their past for all namespaces together; each costs some 50 KiB of memory."""

    @property
    def limit(self) -> float:
        """After how long a cycle is given up."""
        return _LIMIT * self.interval

    @property
    def values(self) -> float:
        """For how long a source is asked for values in one cycle: what has not come by then is late."""
        return min(_VALUES_S, max(self.limit / 6, min(_VALUES_LEAST_S, _VALUES * self.limit)))

    @property
    def past(self) -> float:
        """How long one request for the past, or for pieces of a window, may take."""
        return min(self.values, OBSERVED * self.limit - 1.1 * self.values)

    @property
    def columns(self) -> int:
        """How many steps of each series are kept and backfilled: at an interval of 30 s a day and the longest horizon.

        So the same time of yesterday is known, and what came after it.
        """
        return 2880 + _HORIZONS[-1]

    @property
    def backfill(self) -> float:
        """For how long the past of new queries is fetched in one cycle: the others wait for the next."""
        return self.interval / 2

    @property
    def turn(self) -> float:
        """For how long one cycle decides for one namespace, and drives its remediations; for all: twice that."""
        return max(self.interval / 2, min(2 * self.interval, 5.0))

    @property
    def windows(self) -> float:
        """For how long whole windows are read in pieces in one cycle: the others wait for the next."""
        return self.interval / 10

    @property
    def horizons(self) -> tuple[float, ...]:
        """The horizons that are forecast: 2 m to 3 h at an interval of 30 s. What lies between is interpolated."""
        return tuple(self.interval * steps for steps in _HORIZONS)

    @property
    def calm(self) -> float:
        """How long the risk must be gone before an episode ends: a flicker is not a new episode."""
        return self.interval * 10
