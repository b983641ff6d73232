"""An unexpected error stays with the object that it is about, and the work on all others goes on.

What is expected has a kind in `errors.py` and is dealt with where it is met. What is not, a fault of the program that
the words of one tenant can bring about, is logged with its traceback, counted, and becomes a condition of that object.
"""

import asyncio
from collections import Counter, OrderedDict
from types import TracebackType
from typing import Any, Final, Self

import structlog

from forestall.errors import LostLease

AGAIN: Final = 3600.0
"""After how many seconds the same error of the same object is logged with its traceback again."""
_REMEMBERED: Final = 1024
_PASSED: Final = (LostLease, asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""What ends more than the work on one object."""

_log = structlog.get_logger(__name__)


class Isolation:
    """Remembers what went wrong in a cycle, and what was logged already."""

    def __init__(self) -> None:
        self.now = 0.0
        self.faults: Counter[str] = Counter()
        """How many unexpected errors there were since `begin`, by what was being done."""
        self._logged: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def begin(self, now: float) -> None:
        """Begin a cycle at `now` (s)."""
        self.now = now
        self.faults = Counter()

    def around(self, doing: str, subject: str) -> "Attempt":
        """Return a context in which an unexpected error ends no more than its block.

        `doing` is what is done, such as `deciding`, `about` the object as people name it.
        """
        return Attempt(self, doing, subject)

    def note(self, doing: str, subject: str, error: BaseException) -> None:
        """Count the error, and log it: with its traceback, but not in every cycle."""
        self.faults[doing] += 1
        key = (doing, subject, type(error).__name__)
        last = self._logged.get(key)
        fields: dict[str, Any] = {"doing": doing, "about": subject, "error": f"{type(error).__name__}: {error}"[:500]}
        if last is not None and 0 <= self.now - last < AGAIN:
            _log.debug("unexpected error again", **fields)
            return
        self._logged[key] = self.now
        self._logged.move_to_end(key)
        while len(self._logged) > _REMEMBERED:
            self._logged.popitem(last=False)
        _log.error("unexpected error", **fields, exc_info=(type(error), error, error.__traceback__))


class Attempt:
    """A block of work on one object; `failure` says afterwards, for people, that it failed."""

    def __init__(self, isolation: Isolation, doing: str, subject: str) -> None:
        self._isolation = isolation
        self._doing = doing
        self._subject = subject
        self.failure: str | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keep an error to this object, unless it ends the cycle or the process."""
        # Not only `Exception`: what panics in a library of another language is none.
        if error is None or passes(error):
            return False
        self._isolation.note(self._doing, self._subject, error)
        # No more than its kind: the text may tell of objects that the reader must not know.
        message = f"an unexpected error ({type(error).__name__}) while {self._doing}"
        self.failure = f"{message}; the operator's log has the traceback"
        return True


def passes(error: BaseException) -> bool:
    """Say whether the error ends more than the work on one object."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(_PASSED) is not None
    return isinstance(error, _PASSED)
