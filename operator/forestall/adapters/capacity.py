"""Computes how many series fit into the memory limit of the container."""

from pathlib import Path
from typing import Final

_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""The kernel's files with the memory limit: cgroup v2 and v1."""
_OWN: Final = 160 << 20
"""Memory (bytes) that the operator needs besides series."""
_SERIES: Final = 60 << 10
"""Memory (bytes) for one series with its history and its forecast, including growth of the matrix."""
MOST: Final = 50_000
"""The number of series without a memory limit, or with a very large one: more take longer than a cycle."""
LEAST: Final = 1000


def most_series(limits: tuple[Path, ...] = _LIMITS) -> int:
    """Return how many series may be kept in memory."""
    return max(LEAST, min((_for(path) for path in limits), default=MOST))


def _for(path: Path) -> int:
    try:
        limit = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # there is none, or it says `max`
        return MOST
    return min(MOST, (limit - _OWN) // _SERIES)
