"""What goes on beside the body of a ``with``: samples that are written, progress that is shown."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeatedly(seconds: float, do: Callable[[], None]) -> Iterator[None]:
    """Call `do` every so many seconds, in a thread, until the body ends."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
