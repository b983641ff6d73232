"""For how much there is memory, by the limit of the container that this runs in."""

from pathlib import Path
from typing import Final

_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where the kernel says it: cgroup v2 and v1."""
_OWN: Final = 160 << 20
"""Bytes that the operator needs besides series."""
_SERIES: Final = 60 << 10
"""Bytes for one series with its past and its forecast, while the matrix that holds it grows."""
MOST: Final = 50_000
"""Where there is no limit, or a very large one: more series take longer than a cycle."""
LEAST: Final = 1000


def most_series(limits: tuple[Path, ...] = _LIMITS) -> int:
    """Return how many series may be kept."""
    return max(LEAST, min((_for(path) for path in limits), default=MOST))


def _for(path: Path) -> int:
    try:
        limit = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # there is none, or it says `max`
        return MOST
    return min(MOST, (limit - _OWN) // _SERIES)
