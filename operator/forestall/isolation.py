"""Isolation of unexpected errors: an error stays with its object, and the work on all others continues.

Expected errors have a class in `errors.py`, and are handled where they occur. An unexpected one, a bug that an object
of a tenant can trigger, is logged with its traceback, counted, and becomes a condition of that object.
"""

import asyncio
from collections import Counter, OrderedDict
from types import TracebackType
from typing import Any, Final, Self

import structlog

from forestall.errors import LostLease

LOG_INTERVAL: Final = 3600.0
"""The interval (s) at which the same error of the same object is logged with its traceback again."""
_MAX_LOGGED: Final = 1024
_NOT_ISOLATED: Final = (LostLease, asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""Exceptions that end more than the work on one object."""

_log = structlog.get_logger(__name__)


class ErrorIsolation:
    """Counts the unexpected errors of a cycle, and knows which are logged already."""

    def __init__(self) -> None:
        self.now = 0.0
        self.faults: Counter[str] = Counter()
        """The number of unexpected errors since `begin`, by activity."""
        self._logged: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def begin(self, now: float) -> None:
        """Begin a cycle at `now` (s)."""
        self.now = now
        self.faults = Counter()

    def attempt(self, activity: str, subject: str) -> "Attempt":
        """Return a context in which an unexpected error ends its block only.

        `activity` is such as "deciding", `subject` the object for people.
        """
        return Attempt(self, activity, subject)

    def record(self, activity: str, subject: str, error: BaseException) -> None:
        """Count the error, and log it with its traceback, at most once in `LOG_INTERVAL`."""
        self.faults[activity] += 1
        key = (activity, subject, type(error).__name__)
        last = self._logged.get(key)
        fields: dict[str, Any] = {
            "doing": activity,
            "about": subject,
            "error": f"{type(error).__name__}: {error}"[:500],
        }
        if last is not None and 0 <= self.now - last < LOG_INTERVAL:
            _log.debug("unexpected error again", **fields)
            return
        self._logged[key] = self.now
        self._logged.move_to_end(key)
        while len(self._logged) > _MAX_LOGGED:
            self._logged.popitem(last=False)
        _log.error("unexpected error", **fields, exc_info=(type(error), error, error.__traceback__))


class Attempt:
    """A block of work on one object; `failure` is a message for people where it failed."""

    def __init__(self, isolation: ErrorIsolation, activity: str, subject: str) -> None:
        self._isolation = isolation
        self._activity = activity
        self._subject = subject
        self.failure: str | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Isolate an error to this object, unless it ends the cycle or the process."""
        # Not only `Exception`: a panic of a native library is a BaseException.
        if error is None or ends_process(error):
            return False
        self._isolation.record(self._activity, self._subject, error)
        # The class only: the text may name objects that the reader must not see.
        message = f"an unexpected error ({type(error).__name__}) while {self._activity}"
        self.failure = f"{message}; the operator's log has the traceback"
        return True


def ends_process(error: BaseException) -> bool:
    """Return whether the error ends more than the work on one object."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(_NOT_ISOLATED) is not None
    return isinstance(error, _NOT_ISOLATED)
