"""Sends many queries to one source: joined in requests that run concurrently; a request that fails is split until the
failing query is found.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import structlog

from forestall.adapters.prometheus.errors import QueryTrouble, SourceTrouble, failure, reported_to_all
from forestall.adapters.prometheus.failed_queries import FailedQueries
from forestall.adapters.prometheus.namespace_quota import ExpensiveOwners, UsageMeter
from forestall.adapters.prometheus.query_outcomes import sort_by_query
from forestall.adapters.prometheus.question import Group, Outcome, Question, RequestLimits
from forestall.adapters.prometheus.responses import Payload
from forestall.adapters.prometheus.triage import Send, Triage, quoting
from forestall.core.promql import pack
from forestall.engine.fair_scheduling import round_robin

_log = structlog.get_logger(__name__)
_LONGEST_REQUEST = 200_000
_LEAST_S = 0.1


@dataclass(frozen=True, slots=True)
class SourceState:
    """What earlier calls have learned about a source."""

    memory: FailedQueries
    shares: ExpensiveOwners


class QueryRun:
    """All queries of one call to one source."""

    def __init__(self, send: Send, state: SourceState, pace: RequestLimits, deadline: float, meter: UsageMeter) -> None:
        """Queries without an answer at `deadline` (s, monotonic) have failed."""
        self._send = send
        self._memory = state.memory
        self._shares = state.shares
        self._max_joined = pace.max_joined
        self._at_once = pace.at_once
        self._deadline = deadline
        self._triage = Triage(send, state.memory)
        self._warned: list[Group] = []  # all of whose answers have warnings that may be about one of them
        self._parts_warned = False
        self._outcomes: dict[str, Outcome] = {}
        self._several = False  # whether more than one namespace asks
        self.meter = meter
        """The usage of each namespace."""

    @property
    def down(self) -> SourceTrouble | None:
        """The trouble of the source as a whole, if any."""
        return self._triage.down

    @property
    def answered(self) -> int:
        """The number of answered questions."""
        return self._triage.answered

    async def ask(self, questions: Iterable[Question]) -> dict[str, Outcome]:
        """Return the outcome of each question, by expression. The first questions of each namespace are sent first."""
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
        self._triage.several = self._several
        # What looks far back takes long, and comes last, so that nothing else waits for it.
        for batch in (
            [question for question in due if question.weight <= 1],
            [question for question in due if question.weight > 1],
        ):
            await self._run(self._groups(batch))
            if self._warned and await self._triage.warns_of_some():
                self._parts_warned = True
                await self._run([half for group in self._warned for half in self._triage.halves(group)])
            self._warned, self._parts_warned = [], False
        self._outcomes |= await self._triage.end()
        why = self._triage.why_not_asked()
        reason = reported_to_all(why) if self._several else failure(why)
        if self._several and self._triage.down is not None:
            _log.warning("source in trouble", reason=why.reason, error=str(why))
        for question in due:
            self._outcomes.setdefault(question.text, reason)
        self._shares.remember(self.meter)
        return self._outcomes

    async def _run(self, waiting: list[Group]) -> None:
        """Send as many requests at once as the pace allows; split those that fail, and send the parts."""
        # At first a request goes alone: a source that is down is to cost one timeout, not one for each request. Where
        # several namespaces ask, another one's goes with it: the first may ask too much, and the source be well.
        going = self._probes(waiting)
        running: dict[asyncio.Task[QueryTrouble | None], Group] = {}
        failed: list[tuple[Group, QueryTrouble | None]] = []  # and those that came through, before any answer
        try:
            while True:
                if self._triage.answered or not running:
                    if self._is_overloaded([trouble for _, trouble in failed]):
                        return
                    if self._triage.answered or not going:
                        parted = await self._triage.part(
                            (group, trouble) for group, trouble in failed if trouble is not None
                        )
                        going, waiting, failed = [*going, *waiting, *parted], [], []
                going = self._start(going, running)
                if not running:
                    if not going and not waiting and not failed:
                        return
                    continue
                completed, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                failed += [(running.pop(task), task.result()) for task in completed]
        finally:
            await _end(running)

    def _is_overloaded(self, troubles: Sequence[QueryTrouble | None]) -> bool:
        """Say, and remember, whether all of several requests failed: more requests would add to the overload."""
        if (
            self._triage.answered
            or len(troubles) <= 1
            or not all(trouble is not None and trouble.may_overload for trouble in troubles)
        ):
            return False
        first = next(trouble for trouble in troubles if trouble is not None)
        self._triage.down = quoting("SourceTimeout", "the source is overloaded", first)
        return True

    def _may_go_on(self) -> bool:
        return self._triage.goes_on and time.monotonic() < self._deadline - _LEAST_S

    def _start(self, groups: Sequence[Group], running: dict[asyncio.Task[QueryTrouble | None], Group]) -> list[Group]:
        """Start the requests that may be sent now; return those that have to wait."""
        left: list[Group] = []
        busy = Counter(owner for group in running.values() for owner in _owners(group))
        for group in groups:
            if len(running) >= self._at_once or self._is_crowded(group, busy):
                left.append(group)
            elif self._may_go_on() and (within_shares := self._within_shares(group)):
                running[asyncio.ensure_future(self._try(within_shares))] = within_shares
                busy.update(_owners(within_shares))
        return left

    def _is_crowded(self, group: Group, busy: Mapping[str, int]) -> bool:
        """Say whether the owner has as many requests under way as one may have while others have queries too."""
        if not self._several:
            return False
        owners = _owners(group)
        is_expensive = any(self._shares.is_expensive(owner) for owner in owners)
        max_requests = max(1, self._at_once // (4 if is_expensive else 2))
        return any(busy.get(owner, 0) >= max_requests for owner in owners)

    def _within_shares(self, group: Group) -> Group:
        """Return the questions of a group whose namespaces are within their shares."""
        left = []
        for question in group:
            if (refused := self.meter.refusal(question.owners)) is not None:
                self._outcomes[question.text] = refused
            else:
                left.append(question)
        return tuple(left)

    def _probes(self, waiting: list[Group]) -> list[Group]:
        """Take from the groups those that are sent first."""
        if not waiting:
            return []
        first = waiting.pop(0)
        if self._several:
            owners = _owners(first)
            for position, group in enumerate(waiting):
                if owners.isdisjoint(_owners(group)):
                    return [first, waiting.pop(position)]
        return [first]

    def _groups(self, questions: Sequence[Question]) -> list[Group]:
        """Return the questions grouped into requests, those that many namespaces wait for first.

        Queries that failed alone before come last. Namespaces with few queries share requests. A namespace with many
        queries, or that was expensive the last time, has requests of its own, and so delays no other: these requests
        are in round-robin order of namespaces.
        """

        def order(question: Question) -> tuple[bool, int]:
            max_joined = min(
                self._memory.most_together(question.text) or self._max_joined,
                self._max_joined if question.joinable else 1,
            )
            return self._memory.is_suspect(question.text), -max_joined

        counts = Counter(_owner(question) for question in questions)
        ranked: list[tuple[bool, bool, int, Group]] = []
        # What judges a query is asked with it: without, its answer is worth nothing.
        for (suspect, size), batch in groupby(sorted(questions, key=order), key=order):
            lanes: dict[str, list[Question]] = defaultdict(list)
            for question in batch:
                owner = _owner(question)
                alone = self._several and (counts[owner] > self._max_joined // 2 or self._shares.is_expensive(owner))
                lanes[owner if alone else ""].append(question)
            for owner, lane in lanes.items():
                is_expensive = self._shares.is_expensive(owner)
                ranked += [
                    (suspect, is_expensive, n if owner else 0, group)
                    for n, group in enumerate(_packed(round_robin(lane, lambda item: item.counts), -size))
                ]
        ranked.sort(key=lambda item: item[:3])
        return [group for *_, group in ranked]

    async def _try(self, group: Group) -> QueryTrouble | None:
        """Send one group as a request and keep its outcomes, or return the error."""
        max_series = sum(question.max_series for question in group)
        began, size = time.monotonic(), 0
        try:
            payload = await self._send(pack([question.text for question in group]), max_series + 1)
            size = payload.size
            self._keep(group, payload)
        except (SourceTrouble, QueryTrouble) as trouble:
            return self._triage.fail(group, trouble)
        finally:
            self.meter.charge((question.owners for question in group), time.monotonic() - began, size)
        return None

    def _keep(self, group: Group, payload: Payload) -> None:
        """Store the outcome of each question of a group."""
        if len(group) > 1 and (payload.about_one or (payload.warnings and self._parts_warned)):
            raise QueryTrouble("QueryRefused", "; ".join(payload.warnings))  # the others are not to suffer from it
        outcomes = sort_by_query([(question.text, question.max_series) for question in group], payload)
        self._triage.answer(len(group), clean=not payload.warnings)
        if len(group) > 1 and payload.warnings:
            self._warned.append(group)
        for text, outcome in outcomes.items():
            if isinstance(outcome, QueryTrouble):
                self._triage.bad(text, outcome)
            else:
                self._outcomes[text] = outcome


def _owner(question: Question) -> str:
    """Return the namespace that a question is charged to: the first of several."""
    return question.owners[0] if question.owners else ""


def _owners(group: Group) -> set[str]:
    return {owner for question in group for owner in question.owners}


def _packed(questions: Iterable[Question], size: int) -> list[Group]:
    """Return the questions in requests of limited weight (`size`) and length."""
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
    """Cancel the tasks that still run, and wait for them: none outlives the call that started it."""
    tasks = list(running)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
