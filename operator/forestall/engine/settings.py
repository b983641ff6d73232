"""The engine's settings; all other times follow from the interval."""

from dataclasses import dataclass

_HORIZONS = (4, 20, 60, 120, 360)
_LIMIT = 4
"""After how many intervals a cycle is cancelled; the next one continues from the written statuses."""
_VALUES_S = 20.0
"""How long (s) the queries for values of a source may take in one cycle at the most."""
_VALUES_LEAST_S = 4.0
"""How long (s) they may take at the least, unless cycles are shorter."""
_VALUES = 3 / 8
"""The largest share of a cycle's limit for the queries for values."""
DELIVERY_WAIT = 0.5
"""How long (s) a cycle waits for the delivery of a notification at the most."""
OBSERVED = 0.7
"""The share of a cycle's limit after which every answer of a source is late."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds."""

    interval: float = 30.0
    """The time between cycles; also the step of the matrix of series."""
    at_risk_from: float = 0.8
    """The breach probability from which an objective without a policy counts as at risk."""
    lease: str | None = None
    """The operator's Lease as NAMESPACE/NAME, which statuses name so that people can check that the operator runs."""
    concurrency: int = 16
    """How many objects are processed at once."""
    threads: bool = True
    """Whether long computations run in a thread, so that the lease is renewed and probes are answered meanwhile."""

    series: int = 50_000
    """How many series are kept with their history in all namespaces together; each takes about 50 KiB of memory."""

    @property
    def limit(self) -> float:
        """The time after which a cycle is cancelled."""
        return _LIMIT * self.interval

    @property
    def values(self) -> float:
        """How long the queries for values of a source may take in one cycle: later answers are dropped."""
        return min(_VALUES_S, max(self.limit / 6, min(_VALUES_LEAST_S, _VALUES * self.limit)))

    @property
    def past(self) -> float:
        """How long one request for history, or for pieces of a window, may take."""
        return min(self.values, OBSERVED * self.limit - 1.1 * self.values)

    @property
    def columns(self) -> int:
        """How many steps of each series are kept and backfilled: at an interval of 30 s one day plus the longest
        horizon.

        So the matrix has the same time of the previous day, and what followed it.
        """
        return 2880 + _HORIZONS[-1]

    @property
    def backfill(self) -> float:
        """How long one cycle fetches the history of new queries; the others wait for the next cycle."""
        return self.interval / 2

    @property
    def turn(self) -> float:
        """How long one cycle decides for one namespace, and advances its remediations; twice that for all
        namespaces.
        """
        return max(self.interval / 2, min(2 * self.interval, 5.0))

    @property
    def delivery_wait(self) -> float:
        """How long one cycle waits for the delivery of a new notification; the next cycle looks at it again."""
        return min(DELIVERY_WAIT, self.interval / 20)

    @property
    def windows(self) -> float:
        """How long one cycle reads windows in pieces; the others wait for the next cycle."""
        return self.interval / 10

    @property
    def horizons(self) -> tuple[float, ...]:
        """The forecast horizons: 2 m to 3 h at an interval of 30 s. Values between them are interpolated."""
        return tuple(self.interval * steps for steps in _HORIZONS)

    @property
    def calm(self) -> float:
        """How long an objective must not be at risk before its episode ends: a short dip begins no new episode."""
        return self.interval * 10
