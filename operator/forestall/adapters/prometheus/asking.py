"""Ask one source many queries: joined, at once, and failing requests parted until the culprit is found."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from forestall.adapters.prometheus.answers import TRUNCATED, Payload
from forestall.adapters.prometheus.memory import Memory
from forestall.adapters.prometheus.trouble import QueryTrouble, SourceTrouble, failure
from forestall.core.promql import MARKER, pack
from forestall.engine.together import together
from forestall.ports import QueryFailure

_LONGEST_REQUEST = 200_000
_LEAST_S = 0.1
_LIGHT_S = 3600.0
"""Queries that look at less of the past than this weigh the same."""
_ABOUT_ONE_QUERY = "PromQL warning"
"""How warnings begin that Prometheus gives about an expression, rather than about its data as a whole."""


@dataclass(frozen=True, slots=True)
class Question:
    """One expression to ask."""

    text: str
    max_series: int
    joinable: bool = True
    reach: float = 0.0
    """How much of the past (s) it looks at."""

    @property
    def weight(self) -> float:
        """What it costs the source, compared with a query for the present."""
        return max(1.0, self.reach / _LIGHT_S)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a source is asked."""

    together: int
    """How many questions are joined in one request."""
    at_once: int
    """How many requests are under way at once."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one expression found."""

    series: Sequence[Mapping[str, Any]]
    """As JSON gave them, without the marker."""
    warnings: tuple[str, ...]


Outcome = Found | QueryFailure
Send = Callable[[str, int], Awaitable[Payload]]
"""Asks one expression, for at most so many series."""


class Inquiry:
    """All questions of one call to one source."""

    def __init__(self, send: Send, memory: Memory, pace: Pace, deadline: float) -> None:
        """What has no answer at `deadline` (s, monotonic) has failed."""
        self._send = send
        self._memory = memory
        self._most = pace.together
        self._deadline = deadline
        self._slots = asyncio.Semaphore(pace.at_once)
        self._answered = False
        self._outcomes: dict[str, Outcome] = {}
        self.down: SourceTrouble | None = None
        """What is wrong with the source as a whole."""

    async def ask(self, questions: Iterable[Question]) -> dict[str, Outcome]:
        """Return the outcome of each question, by its text."""
        self._memory.forget(time.monotonic())
        due = []
        for question in questions:
            if (remembered := self._memory.failure(question.text)) is not None:
                self._outcomes[question.text] = remembered
            else:
                due.append(question)
        # What looks far back takes long, and comes last, so that nothing else waits for it.
        light = [question for question in due if question.weight <= 1]
        heavy = [question for question in due if question.weight > 1]
        for some in (light, heavy):
            await self._ask(some)
        reason = failure(self.down or SourceTrouble("SourceTimeout", "there was no time left to ask in this cycle"))
        for question in due:
            self._outcomes.setdefault(question.text, reason)
        return self._outcomes

    async def _ask(self, questions: Sequence[Question]) -> None:
        groups = self._groups(questions)
        # One request goes first: a source that is down is to cost one timeout, not one for each request.
        waiting, groups = groups[1:], groups[:1]
        while groups and self.down is None and time.monotonic() < self._deadline - _LEAST_S:
            parted = await self._go(groups)
            groups, waiting = waiting + parted, []

    def _groups(self, questions: Sequence[Question]) -> list[tuple[Question, ...]]:
        """Return the questions by the requests that they are asked in."""

        def most(question: Question) -> int:
            return min(self._memory.most_together(question.text) or self._most, self._most if question.joinable else 1)

        groups: list[tuple[Question, ...]] = []
        for size, some in groupby(sorted(questions, key=most, reverse=True), key=most):
            group: list[Question] = []
            length = weight = 0.0
            for question in some:
                length += len(question.text)
                weight += question.weight
                if group and (weight > size or length > _LONGEST_REQUEST):
                    groups.append(tuple(group))
                    group, length, weight = [], len(question.text), question.weight
                group.append(question)
            groups.append(tuple(group))
        return groups

    async def _go(self, groups: Sequence[tuple[Question, ...]]) -> list[tuple[Question, ...]]:
        """Ask each group; return what is to be asked in the next round."""
        troubles = await together(self._try(group) for group in groups)
        if not self._answered and len(groups) > 1 and all(each is not None and each.load for each in troubles):
            # Not a single request came through: it is the source that is overloaded, and more requests make it worse.
            self.down = SourceTrouble("SourceTimeout", f"the source is overloaded: {troubles[0]}")
            return []
        parted: list[tuple[Question, ...]] = []
        for group, trouble in zip(groups, troubles, strict=True):
            if trouble is not None:
                parted += self._part(group, trouble)
        return parted

    async def _try(self, group: tuple[Question, ...]) -> QueryTrouble | None:
        """Ask one group and keep its outcomes, or return why it has none."""
        most = sum(question.max_series for question in group)
        try:
            async with self._slots:
                if self.down is not None:
                    return None
                payload = await self._send(pack([question.text for question in group]), most + 1)
            self._answered = True
            self._sort(group, payload, most)
        except SourceTrouble as trouble:
            if trouble.load and self._answered:
                return QueryTrouble(trouble.reason, str(trouble), load=True)
            if trouble.load and len(group) > 1:  # if it was these queries, the next time others go first
                self._part(group, QueryTrouble(trouble.reason, str(trouble)))
            self.down = self.down or trouble
        except QueryTrouble as trouble:
            return trouble
        return None

    def _part(self, group: tuple[Question, ...], trouble: QueryTrouble) -> list[tuple[Question, ...]]:
        now = time.monotonic()
        if len(group) == 1:
            answer = failure(trouble)
            self._outcomes[group[0].text] = answer
            self._memory.failed(group[0].text, answer, trouble, now)
            return []
        half = len(group) // 2
        self._memory.keep_apart((question.text for question in group), half, now)
        return [group[:half], group[half:]]

    def _sort(self, group: tuple[Question, ...], payload: Payload, most: int) -> None:
        """Give each question of a group its series."""
        if len(payload.series) > most:
            raise QueryTrouble("TooManySeries", f"the query returns more than {most} series")
        warnings = tuple(each for each in payload.warnings if each != TRUNCATED)
        if len(group) > 1 and any(each.startswith(_ABOUT_ONE_QUERY) for each in warnings):
            raise QueryTrouble("QueryRefused", "; ".join(warnings))  # the others are not to suffer from it
        found = self._by_question(payload.series) if len(group) > 1 else {"0": payload.series}
        for number, question in enumerate(group):
            series = found.get(str(number), [])
            if len(series) > question.max_series:
                words = f"the query returns {len(series)} series: {question.max_series} are the most"
                self._part((question,), QueryTrouble("TooManySeries", words))
            else:
                self._outcomes[question.text] = Found(series, warnings)

    def _by_question(self, series: Sequence[dict[str, Any]]) -> Mapping[str, list[dict[str, Any]]]:
        found = defaultdict(list)
        for each in series:
            try:
                found[each["metric"].pop(MARKER)].append(each)
            except (KeyError, TypeError, AttributeError) as error:
                raise SourceTrouble(
                    "SourceBadAnswer", "the source's answer lacks the label that was asked for"
                ) from error
        return found
