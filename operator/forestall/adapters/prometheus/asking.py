"""Ask one source many queries: joined, at once, and failing requests parted until the culprit is found."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from forestall.adapters.prometheus.answers import TRUNCATED, Payload
from forestall.adapters.prometheus.memory import Memory
from forestall.adapters.prometheus.shares import Meter, Shares
from forestall.adapters.prometheus.trouble import QueryTrouble, SourceTrouble, failure
from forestall.core.promql import MARKER, pack
from forestall.engine.turns import in_turn
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
    owners: tuple[str, ...] = ()
    """The namespaces that ask it."""
    counts: bool = True
    """Whether it is one of the queries that a namespace may ask, and not one that belongs to another."""

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


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a source from earlier calls."""

    memory: Memory
    shares: Shares


Group = tuple[Question, ...]
Outcome = Found | QueryFailure
Send = Callable[[str, int], Awaitable[Payload]]
"""Asks one expression, for at most so many series."""


class Inquiry:
    """All questions of one call to one source."""

    def __init__(self, send: Send, known: Known, pace: Pace, deadline: float, meter: Meter) -> None:
        """What has no answer at `deadline` (s, monotonic) has failed."""
        self._send = send
        self._memory = known.memory
        self._shares = known.shares
        self._most = pace.together
        self._at_once = pace.at_once
        self._deadline = deadline
        self._answered = False
        self._outcomes: dict[str, Outcome] = {}
        self._several = False  # whether more than one namespace asks
        self.meter = meter
        """What each namespace has used."""
        self.down: SourceTrouble | None = None
        """What is wrong with the source as a whole."""

    async def ask(self, questions: Iterable[Question]) -> dict[str, Outcome]:
        """Return the outcome of each question, by its text. Of each namespace the first ones go first."""
        self._memory.forget(time.monotonic())
        due = []
        for question in questions:
            refused = self._memory.failure(question.text)
            if refused is None and question.counts:
                refused = self.meter.ask(question.owners)
            if refused is not None:
                self._outcomes[question.text] = refused
            else:
                due.append(question)
        self._several = len({owner for question in due for owner in question.owners}) > 1
        # What looks far back takes long, and comes last, so that nothing else waits for it.
        light = [question for question in due if question.weight <= 1]
        heavy = [question for question in due if question.weight > 1]
        for some in (light, heavy):
            await self._ask(some)
        reason = failure(self.down or SourceTrouble("SourceTimeout", "there was no time left to ask in this cycle"))
        for question in due:
            self._outcomes.setdefault(question.text, reason)
        self._shares.remember(self.meter)
        return self._outcomes

    async def _ask(self, questions: Sequence[Question]) -> None:
        """Ask by as many requests at once as the pace allows; those that fail are parted and asked again."""
        waiting = self._groups(questions)
        # At first a request goes alone: a source that is down is to cost one timeout, not one for each request. Where
        # several namespaces ask, another one's goes with it: the first may ask too much, and the source be well.
        going = self._probes(waiting)
        running: dict[asyncio.Task[QueryTrouble | None], Group] = {}
        failed: list[tuple[Group, QueryTrouble | None]] = []  # and those that came through, before any answer
        try:
            while True:
                if self._answered or not running:
                    if not self._answered and self._is_overloaded([trouble for _, trouble in failed]):
                        return
                    if self._answered or not going:
                        going, waiting = [*going, *waiting, *self._parted(failed)], []
                        failed = []
                going = self._start(going, running)
                if not running:
                    if not going and not waiting and not failed:
                        return
                    continue
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                failed += [(running.pop(task), task.result()) for task in done]
        finally:
            await _end(running)

    def _is_overloaded(self, troubles: Sequence[QueryTrouble | None]) -> bool:
        """Say, and remember, whether not a single one of several requests came through: more would make it worse."""
        if len(troubles) <= 1 or not all(each is not None and each.load for each in troubles):
            return False
        self.down = SourceTrouble("SourceTimeout", f"the source is overloaded: {troubles[0]}")
        return True

    def _parted(self, failed: Iterable[tuple[Group, QueryTrouble | None]]) -> list[Group]:
        return [part for group, trouble in failed if trouble is not None for part in self._part(group, trouble)]

    def _may_go_on(self) -> bool:
        return self.down is None and time.monotonic() < self._deadline - _LEAST_S

    def _start(self, groups: Sequence[Group], running: dict[asyncio.Task[QueryTrouble | None], Group]) -> list[Group]:
        """Start what may be asked now; return what has to wait."""
        left: list[Group] = []
        busy = Counter(owner for group in running.values() for owner in _owners(group))
        for group in groups:
            if len(running) >= self._at_once or self._is_crowded(group, busy):
                left.append(group)
            elif self._may_go_on() and (asked := self._within_shares(group)):
                running[asyncio.ensure_future(self._try(asked))] = asked
                busy.update(_owners(asked))
        return left

    def _is_crowded(self, group: Group, busy: Mapping[str, int]) -> bool:
        """Say whether who asks has as many requests under way as one may have, where others ask too."""
        if not self._several:
            return False
        owners = _owners(group)
        dear = any(self._shares.is_dear(owner) for owner in owners)
        most = max(1, self._at_once // (4 if dear else 2))
        return any(busy.get(owner, 0) >= most for owner in owners)

    def _within_shares(self, group: Group) -> Group:
        """Return those of a group whose namespaces have something left of their shares."""
        left = []
        for question in group:
            if (refused := self.meter.refusal(question.owners)) is not None:
                self._outcomes[question.text] = refused
            else:
                left.append(question)
        return tuple(left)

    def _probes(self, waiting: list[Group]) -> list[Group]:
        """Take from the groups those that go first."""
        if not waiting:
            return []
        first = waiting.pop(0)
        if self._several:
            owners = _owners(first)
            for place, group in enumerate(waiting):
                if owners.isdisjoint(_owners(group)):
                    return [first, waiting.pop(place)]
        return [first]

    def _groups(self, questions: Sequence[Question]) -> list[Group]:
        """Return the questions by the requests that they are asked in, those that many wait for first.

        Who asks little shares requests with others. Who asks much, or was dear the last time, has requests alone, and
        so delays nobody else's answers: of these, everybody's first come before anybody's second.
        """

        def most(question: Question) -> int:
            return min(self._memory.most_together(question.text) or self._most, self._most if question.joinable else 1)

        counts = Counter(_owner(question) for question in questions)
        ranked: list[tuple[bool, int, Group]] = []
        # What judges a query is asked with it: without, its answer is worth nothing.
        for size, some in groupby(sorted(questions, key=most, reverse=True), key=most):
            lanes: dict[str, list[Question]] = defaultdict(list)
            for question in some:
                owner = _owner(question)
                alone = self._several and (counts[owner] > self._most // 2 or self._shares.is_dear(owner))
                lanes[owner if alone else ""].append(question)
            for owner, lane in lanes.items():
                dear = self._shares.is_dear(owner)
                ranked += [
                    (dear, n if owner else 0, group)
                    for n, group in enumerate(_packed(in_turn(lane, lambda each: each.counts), size))
                ]
        ranked.sort(key=lambda each: each[:2])
        return [group for *_, group in ranked]

    async def _try(self, group: Group) -> QueryTrouble | None:
        """Ask one group and keep its outcomes, or return why it has none."""
        most = sum(question.max_series for question in group)
        began, size = time.monotonic(), 0
        try:
            payload = await self._send(pack([question.text for question in group]), most + 1)
            size = payload.size
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
        finally:
            self.meter.charge((question.owners for question in group), time.monotonic() - began, size)
        return None

    def _part(self, group: Group, trouble: QueryTrouble) -> list[Group]:
        now = time.monotonic()
        if len(group) == 1:
            answer = failure(trouble)
            self._outcomes[group[0].text] = answer
            self._memory.failed(group[0].text, answer, trouble, now)
            return []
        half = len(group) // 2
        self._memory.keep_apart((question.text for question in group), half, now)
        return [group[:half], group[half:]]

    def _sort(self, group: Group, payload: Payload, most: int) -> None:
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


def _owner(question: Question) -> str:
    """Return the namespace on whose account it is asked: the first, where there are several."""
    return question.owners[0] if question.owners else ""


def _owners(group: Group) -> set[str]:
    return {owner for question in group for owner in question.owners}


def _packed(questions: Iterable[Question], size: int) -> list[Group]:
    """Return the questions in requests of no more than `size`, by weight, and of bearable length."""
    groups: list[Group] = []
    group: list[Question] = []
    length = weight = 0.0
    for question in questions:
        length += len(question.text)
        weight += question.weight
        if group and (weight > size or length > _LONGEST_REQUEST):
            groups.append(tuple(group))
            group, length, weight = [], len(question.text), question.weight
        group.append(question)
    return [*groups, tuple(group)] if group else groups


async def _end(running: Iterable[asyncio.Task[QueryTrouble | None]]) -> None:
    """End what still runs, and wait for it: nothing outlives the call that started it."""
    tasks = list(running)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
