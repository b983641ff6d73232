"""Clock skew between this process, the API server and the metric sources, and whose clock is wrong.

A wrong clock queries another time than the present and takes old samples for fresh. The `Date` header of an HTTP
response has the server's time to the second, read at some moment between request and response: the offset is known
as an interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from forestall.core.duration import format_duration

MAX_SKEW: Final = 5.0
"""The largest skew (s) that is tolerated: far more than NTP leaves, and less than any `staleAfter`."""
API_SERVER: Final = "the API server"


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far (s) a server's clock is ahead of another clock: between `low` and `high`."""

    low: float
    high: float

    def relative_to(self, seconds: float) -> "ClockOffset":
        """Return the offset to a clock that is `seconds` ahead of the other clock."""
        return ClockOffset(self.low - seconds, self.high - seconds)

    def narrower(self, other: "ClockOffset | None") -> "ClockOffset":
        """Return the narrower of the two intervals."""
        return self if other is None or self.high - self.low < other.high - other.low else other

    @property
    def skew(self) -> float:
        """The skew (s; negative: behind) where it certainly exceeds the tolerance, otherwise 0."""
        return self.estimate if self.low > MAX_SKEW or self.high < -MAX_SKEW else 0.0

    @property
    def estimate(self) -> float:
        """The best estimate of the skew (s; negative: behind); 0 where the clocks may agree."""
        return 0.0 if self.low <= 0.0 <= self.high else (self.low + self.high) / 2


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """The clock skew measured in one cycle."""

    global_reason: str | None = None
    """Why no change is made at all; None where this process's clock agrees with the API server's."""
    source_reasons: Mapping[str, str] = field(default_factory=dict)
    """Why no action is based on the data of a metric source, by the name of the source."""
    offsets: Mapping[str, float] = field(default_factory=dict)
    """How far (s) each server's clock is ahead of this process's; 0 where they may agree."""

    def reason_for(self, source: str) -> str | None:
        """Return why no action is based on the data of a source; None where the clocks agree."""
        return self.global_reason or self.source_reasons.get(source)


def server_offset(date: float, sent: float, received: float) -> ClockOffset:
    """Return the offset of a server whose response has the time `date` (s since the epoch, whole seconds).

    `sent` and `received` are the times of request and response by the clock to compare with.
    """
    return ClockOffset(date - received, date + 1.0 - sent)


def compare_clocks(api_server: ClockOffset | None, sources: Mapping[str, ClockOffset]) -> ClockSkew:
    """Return which clocks disagree with this process's: that of the API server, and those of metric sources by name."""
    named = {_source_name(name): offset for name, offset in sources.items()}
    offsets = {**({API_SERVER: api_server} if api_server else {}), **named}
    offset_by_server = {name: offset.estimate for name, offset in offsets.items()}
    skew_by_server = {name: offset.skew for name, offset in offsets.items() if offset.skew}
    if api_server is not None and api_server.skew:
        agreeing = [name for name in named if _same_side(skew_by_server.get(name, 0.0), api_server.skew)]
        return ClockSkew(
            _api_server_message(api_server.skew, agreeing, has_sources=bool(sources)), {}, offset_by_server
        )
    skewed = {name: offset.skew for name, offset in sources.items() if offset.skew}
    return ClockSkew(
        None,
        {name: _source_message(name, skew, api_server_agrees=api_server is not None) for name, skew in skewed.items()},
        offset_by_server,
    )


def _same_side(first: float, second: float) -> bool:
    return first * second > 0


def _api_server_message(skew: float, agreeing: list[str], *, has_sources: bool) -> str:
    if agreeing:
        servers = f"{API_SERVER} and of {', '.join(sorted(agreeing))}"
        return f"this process's clock is {_offset_text(-skew)} those of {servers}: {_ADVICE}"
    if has_sources:
        own = "this process's and those of the metric sources"
        return f"the clock of {API_SERVER} is {_offset_text(skew)} {own}: {_ADVICE}"
    return f"the clock of {API_SERVER} is {_offset_text(skew)} this process's: {_ADVICE}"


def _source_message(name: str, skew: float, *, api_server_agrees: bool) -> str:
    local = f"this process's, with which {API_SERVER} agrees" if api_server_agrees else "this process's"
    return f"the clock of {_source_name(name)} is {_offset_text(skew)} {local}: {_ADVICE}"


def _source_name(name: str) -> str:
    return f"metric source {name}"


def _offset_text(seconds: float) -> str:
    return f"{format_duration(round(abs(seconds)))} {'ahead of' if seconds > 0 else 'behind'}"


_ADVICE: Final = f"nothing is done until they agree within {MAX_SKEW:g} s"
