"""Limits the series of each namespace, so that the memory suffices for all namespaces."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from forestall.engine.indicator_queries import ObjectiveQueries
from forestall.engine.readings import Reading
from forestall.ports import QueryFailure

Readings = Mapping[str, Sequence[Reading]]
"""By UID of the objective."""
Account = tuple[str, str]
"""A metric source and a namespace, or a namespace alone."""


def within_series(
    readings: Readings, queries_by_uid: Mapping[str, ObjectiveQueries], max_series: int | None = None
) -> dict[str, tuple[Reading, ...]]:
    """Return the readings without those that exceed their namespace's share of series.

    Argument and result are keyed by objective (UID). The queries with the fewest series count first, so that one with
    very many affects no other. Where all namespaces together exceed `most`, the shares of those with the most series
    are reduced.
    """
    shares = {(queries.source, queries.namespace): queries.share.series for queries in queries_by_uid.values()}
    result = _cut(
        readings,
        {uid: (queries_by_uid[uid].source, queries_by_uid[uid].namespace) for uid in readings},
        shares,
        "{least} are the most that are kept for it (`spec.perNamespace.series` of the MetricSource): aggregate, or ask "
        "an admin for more",
    )
    if max_series is None:
        return result
    owners = {uid: ("", queries_by_uid[uid].namespace) for uid in readings}
    level = _level(_totals(result, owners).values(), max_series)
    return _cut(
        result,
        owners,
        dict.fromkeys(owners.values(), level),
        f"{{least}} are left for it of the {max_series} that the operator has memory for: aggregate, or ask an admin "
        "for a larger memory limit",
    )


def _cut(
    readings: Readings, owners: Mapping[str, Account], shares: Mapping[Account, int], message: str
) -> dict[str, tuple[Reading, ...]]:
    """Return the readings without those that exceed the share of their account; `message` says why."""
    accounts: dict[Account, list[tuple[int, str, int]]] = defaultdict(list)
    for uid, readings_of_objective in readings.items():
        accounts[owners[uid]] += [
            (len(reading.values), uid, position) for position, reading in enumerate(readings_of_objective)
        ]
    result = {uid: list(readings_of_objective) for uid, readings_of_objective in readings.items()}
    for owner, entries in accounts.items():
        share, total = shares[owner], sum(count for count, *_ in entries)
        if total <= share:
            continue
        used = 0
        for count, uid, position in sorted(entries):
            used += count
            if count and used > share:
                why = (
                    f"the query returns {count} series, and with it the queries of namespace {owner[1]} return "
                    f"{total}: {message.format(least=share)}"
                )
                failure = QueryFailure("ShareExhausted", why)
                result[uid][position] = replace(result[uid][position], values={}, fresh=False, problem=failure)
    return {uid: tuple(readings_of_objective) for uid, readings_of_objective in result.items()}


def _totals(readings: Readings, owners: Mapping[str, Account]) -> Counter[Account]:
    totals: Counter[Account] = Counter()
    for uid, readings_of_objective in readings.items():
        totals[owners[uid]] += sum(len(reading.values) for reading in readings_of_objective)
    return totals


def _level(totals: Iterable[int], max_series: int) -> int:
    """Return the largest share such that all accounts together stay within `most`, if none uses more than it has."""
    left, waiting = max_series, sorted(totals)
    while waiting:
        level = left // len(waiting)
        if waiting[0] > level:
            return level
        left -= waiting.pop(0)
    return max_series
