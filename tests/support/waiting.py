"""Waiting for conditions outside the test process."""

import time
from collections.abc import Callable


def until(reached: Callable[[], bool], seconds: float = 120, pause: float = 0.2) -> None:
    """Return as soon as it is reached; looked at every `pause` seconds."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(pause)
