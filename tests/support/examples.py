"""How many examples of a law are tried: few that are the same in every run, or many new ones (`make fuzz`)."""

import os
from typing import Final

IS_RANDOM: Final = not {"FORESTALL_RANDOM", "FORESTALL_FUZZ"}.isdisjoint(os.environ)
"""Whether each run has new examples."""
_FACTOR: Final = 10


def examples(count: int) -> int:
    """Return how many examples to try where usually ``count`` are enough."""
    return count * _FACTOR if IS_RANDOM else count
