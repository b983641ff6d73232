"""Distinguishes a bad query from a failing source, and splits failed requests within limits.

Some sources send the same response for both. So before a request is split a probe is sent, which any healthy source
answers, and again after some more failures. Splitting is limited: the search continues in the next calls. A query is
recorded as bad only where others were answered meanwhile.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from forestall.adapters.prometheus.errors import QueryTrouble, SourceTrouble, failure
from forestall.adapters.prometheus.failed_queries import FailedQueries
from forestall.adapters.prometheus.question import Group
from forestall.adapters.prometheus.responses import Payload
from forestall.core.wording import plural
from forestall.errors import MetricsError
from forestall.ports import QueryFailure

CANARY: Final = "forestall_canary"
"""The probe: a metric that does not exist, for which the source has to search all of its storage."""
MOST_FAILED: Final = 100
"""After how many failed requests of one call no more are sent."""
_LOOK_AGAIN: Final = 8
"""After how many more failed requests the probe is sent again."""
_MANY: Final = 16
"""If so many queries failed alone, and few were answered, the source is at fault."""
_FEW: Final = 0.1

Send = Callable[[str, int], Awaitable[Payload]]
"""A function that evaluates one expression, with a limit for series."""


class Triage:
    """The results of the requests of one call to one source."""

    def __init__(self, send: Send, memory: FailedQueries) -> None:
        self._send = send
        self._memory = memory
        self.answered = 0
        """The number of answered questions."""
        self.clean = 0
        """The number of questions that were answered without a warning."""
        self.several = False
        """Whether several namespaces have queries in this call: the source's message about a query of one is not shown
        to the others.
        """
        self._failed = 0  # requests
        self._checked: int | None = None  # how many had failed when the source was last found well
        self._bad: dict[str, QueryTrouble] = {}  # of the questions that failed alone
        self.down: SourceTrouble | None = None
        """The trouble of the source as a whole, if any."""

    @property
    def goes_on(self) -> bool:
        """Whether more requests may be sent."""
        return self.down is None and self._failed < MOST_FAILED

    def answer(self, count: int, *, clean: bool) -> None:
        """Record that so many questions were answered."""
        self.answered += count
        self.clean += count if clean else 0

    def fail(self, group: Group, trouble: SourceTrouble | QueryTrouble) -> QueryTrouble | None:
        """Record a failed request; return the group to split, or None where the source is down."""
        self._failed += 1
        if isinstance(trouble, QueryTrouble):
            return trouble
        if (trouble.may_overload or trouble.ambiguous) and self.answered:
            return QueryTrouble(
                trouble.reason, str(trouble), may_overload=trouble.may_overload, ambiguous=trouble.ambiguous
            )
        if (trouble.may_overload or trouble.ambiguous) and len(group) > 1:
            # If it was these, the next time others go first.
            self.halves(group)
        self.down = self.down or trouble
        return None

    def bad(self, text: str, trouble: QueryTrouble) -> None:
        """Record that a query failed in a request of its own, or returned invalid series."""
        self._bad[text] = trouble

    async def part(self, failed: Iterable[tuple[Group, QueryTrouble]]) -> list[Group]:
        """Return the groups to send again for the failed requests; empty where the source is at fault."""
        failed = list(failed)
        first = next((trouble for _, trouble in failed if trouble.ambiguous), None)
        if first is not None:
            await self._check(first)
        if self.down is not None:
            return []
        parted: list[Group] = []
        for group, trouble in failed:
            if len(group) == 1:
                self.bad(group[0].text, trouble)
            else:
                parted += self.halves(group)
        return parted

    def halves(self, group: Group) -> list[Group]:
        """Return the two halves of a group, and record that it was too much for one request."""
        half = len(group) // 2
        self._memory.keep_apart((question.text for question in group), half, time.monotonic())
        return [group[:half], group[half:]]

    async def warns_of_some(self) -> bool:
        """Say whether only some queries cause warnings: others, and the probe, were answered without."""
        if not self.clean or not self.goes_on:
            return False
        try:
            return not (await self._send(CANARY, 1)).warnings
        except (SourceTrouble, QueryTrouble):
            return False

    async def end(self) -> Mapping[str, QueryFailure]:
        """Return the failures of queries that failed alone, and record which of them are bad."""
        ambiguous = [trouble for trouble in self._bad.values() if trouble.ambiguous]
        if ambiguous and self.down is None and self._checked != self._failed:
            await self._check(ambiguous[0], is_repeated=True)
        now, outcomes = time.monotonic(), {}
        for text, trouble in self._bad.items():
            if trouble.ambiguous and self.down is not None:
                trouble_to_report = quoting(self.down.reason, self.down.plain, trouble) if self.several else self.down
                outcomes[text] = failure(trouble_to_report)
                continue
            outcomes[text] = failure(trouble)
            self._memory.suspect(text, now)
            if not trouble.ambiguous or self.answered >= len(ambiguous):
                self._memory.failed(text, outcomes[text], trouble, now)
        return outcomes

    def why_not_asked(self) -> SourceTrouble:
        """Return why some questions were not sent."""
        if self.down is not None:
            return self.down
        if self._failed >= MOST_FAILED:
            message = f"{plural(self._failed, 'request')} failed: what is left is asked in the next cycle"
            return SourceTrouble("SourceTimeout", message)
        return SourceTrouble("SourceTimeout", "there was no time left to ask in this cycle")

    async def _check(self, first: QueryTrouble, *, is_repeated: bool = False) -> None:
        """Probe the source after a refusal."""
        refused = sum(trouble.ambiguous for trouble in self._bad.values())
        if refused >= _MANY and self.answered < _FEW * refused:
            self.down = quoting("SourceDown", "the source refuses nearly every query", first)
        elif is_repeated or self._checked is None or self._failed - self._checked >= _LOOK_AGAIN:
            before = self._failed
            self.down = self.down or await self._trouble(first)
            self._checked = before

    async def _trouble(self, first: QueryTrouble) -> SourceTrouble | None:
        try:
            await self._send(CANARY, 1)
        except SourceTrouble as trouble:
            return SourceTrouble(trouble.reason, str(trouble))  # it was asked for nobody: all may hear its words
        except QueryTrouble as trouble:
            reason = "SourceTimeout" if trouble.reason == "SourceTimeout" else "SourceDown"
            return quoting(reason, "the source refuses every query", first)
        return None


def quoting(reason: str, message: str, first: MetricsError) -> SourceTrouble:
    """Return the trouble of the source, with the `first` refusal as its example."""
    return SourceTrouble(reason, f"{message}: {first}", plain=message)
