"""Whether the clocks of the servers that are asked agree with this process's own, and whose is wrong where not.

A clock that is wrong asks for another time than the present, and takes what is old for fresh. HTTP answers carry their
server's time to the second, and it was read at some moment between request and answer: what is known is an interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from forestall.core.duration import format_duration

TOLERANCE: Final = 5.0
"""How far (s) clocks may be apart: well beyond what synchronised clocks differ by, and below any `staleAfter`."""
API_SERVER: Final = "the API server"


@dataclass(frozen=True, slots=True)
class Offset:
    """By how much (s) a server's clock is ahead of another clock: somewhere from `low` to `high`."""

    low: float
    high: float

    def less(self, seconds: float) -> "Offset":
        """Return the offset from a clock that is `seconds` ahead of the other one."""
        return Offset(self.low - seconds, self.high - seconds)

    def narrowed(self, other: "Offset | None") -> "Offset":
        """Return the more exact of two."""
        return self if other is None or self.high - self.low < other.high - other.low else other

    @property
    def apart(self) -> float:
        """By how much it is ahead (behind: negative), where that is surely beyond the tolerance; otherwise 0."""
        return self.known if self.low > TOLERANCE or self.high < -TOLERANCE else 0.0

    @property
    def known(self) -> float:
        """By how much it is ahead (behind: negative), as well as that is known; 0 where both may agree."""
        return 0.0 if self.low <= 0.0 <= self.high else (self.low + self.high) / 2


@dataclass(frozen=True, slots=True)
class Clocks:
    """What is known of the clocks in one cycle."""

    everywhere: str | None = None
    """Why nothing may be changed at all; None where this process's clock agrees with the API server's."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Why nothing may be done on the data of a metric source, by its name."""
    offsets: Mapping[str, float] = field(default_factory=dict)
    """By how many seconds each server's clock is ahead of this process's; 0 where they may agree."""

    def why(self, source: str) -> str | None:
        """Return why nothing may be done on the data of a source; None where the clocks agree."""
        return self.everywhere or self.sources.get(source)


def server_offset(date: float, sent: float, received: float) -> Offset:
    """Return the offset of a server that says that it is `date` (s since the epoch, whole seconds).

    `sent` and `received` are when the request was sent and its answer was there, by the clock to compare with.
    """
    return Offset(date - received, date + 1.0 - sent)


def compare(api: Offset | None, sources: Mapping[str, Offset]) -> Clocks:
    """Return whose clocks are apart from this process's: of the API server, and of the metric sources by name."""
    named = {_source(name): offset for name, offset in sources.items()}
    offsets = {**({API_SERVER: api} if api else {}), **named}
    known = {name: offset.known for name, offset in offsets.items()}
    apart = {name: offset.apart for name, offset in offsets.items() if offset.apart}
    if api is not None and api.apart:
        alike = [name for name in named if _same_side(apart.get(name, 0.0), api.apart)]
        return Clocks(_of_everything(api.apart, alike, asked=bool(sources)), {}, known)
    wrong = {name: offset.apart for name, offset in sources.items() if offset.apart}
    return Clocks(None, {name: _of_source(name, apart, agreed=api is not None) for name, apart in wrong.items()}, known)


def _same_side(first: float, second: float) -> bool:
    return first * second > 0


def _of_everything(apart: float, alike: list[str], *, asked: bool) -> str:
    if alike:
        return (
            f"this process's clock is {_by(-apart)} those of {API_SERVER} and of {', '.join(sorted(alike))}: {_ADVICE}"
        )
    if asked:
        return f"the clock of {API_SERVER} is {_by(apart)} this process's and those of the metric sources: {_ADVICE}"
    return f"the clock of {API_SERVER} is {_by(apart)} this process's: {_ADVICE}"


def _of_source(name: str, apart: float, *, agreed: bool) -> str:
    others = f"this process's, with which {API_SERVER} agrees" if agreed else "this process's"
    return f"the clock of {_source(name)} is {_by(apart)} {others}: {_ADVICE}"


def _source(name: str) -> str:
    return f"metric source {name}"


def _by(seconds: float) -> str:
    return f"{format_duration(round(abs(seconds)))} {'ahead of' if seconds > 0 else 'behind'}"


_ADVICE: Final = f"nothing is done until they agree within {TOLERANCE:g} s"
