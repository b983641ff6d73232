"""How many series of one namespace are kept, so that there is memory for everybody's."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from forestall.engine.observe import Reading
from forestall.engine.questions import Questions
from forestall.ports import QueryFailure

Readings = Mapping[str, Sequence[Reading]]
"""By UID of the objective."""
Account = tuple[str, str]
"""A metric source and a namespace, or a namespace alone."""


def within_series(
    readings: Readings, asked: Mapping[str, Questions], most: int | None = None
) -> dict[str, tuple[Reading, ...]]:
    """Return the readings without those that bring more series than their namespace's share allows.

    Both are by objective (UID). The queries that return the fewest count first, so that one which returns very many
    costs no other. Where all namespaces together bring more than `most`, those that bring the most have less
    left to them, all the same.
    """
    shares = {(each.source, each.namespace): each.share.series for each in asked.values()}
    result = _cut(
        readings,
        {uid: (asked[uid].source, asked[uid].namespace) for uid in readings},
        shares,
        "{least} are the most that are kept for it (`spec.perNamespace.series` of the MetricSource): aggregate, or ask "
        "an admin for more",
    )
    if most is None:
        return result
    owners = {uid: ("", asked[uid].namespace) for uid in readings}
    level = _level(_totals(result, owners).values(), most)
    return _cut(
        result,
        owners,
        dict.fromkeys(owners.values(), level),
        f"{{least}} are left for it of the {most} that the operator has memory for: aggregate, or ask an admin for a "
        "larger memory limit",
    )


def _cut(
    readings: Readings, owners: Mapping[str, Account], shares: Mapping[Account, int], words: str
) -> dict[str, tuple[Reading, ...]]:
    """Return the readings without those that are over the share of who owns them; `words` end why."""
    accounts: dict[Account, list[tuple[int, str, int]]] = defaultdict(list)
    for uid, some in readings.items():
        accounts[owners[uid]] += [(len(reading.values), uid, place) for place, reading in enumerate(some)]
    result = {uid: list(some) for uid, some in readings.items()}
    for owner, entries in accounts.items():
        most, total = shares[owner], sum(count for count, *_ in entries)
        if total <= most:
            continue
        kept = 0
        for count, uid, place in sorted(entries):
            kept += count
            if count and kept > most:
                why = (
                    f"the query returns {count} series, and with it the queries of namespace {owner[1]} return "
                    f"{total}: {words.format(least=most)}"
                )
                failure = QueryFailure("ShareExhausted", why)
                result[uid][place] = replace(result[uid][place], values={}, fresh=False, problem=failure)
    return {uid: tuple(some) for uid, some in result.items()}


def _totals(readings: Readings, owners: Mapping[str, Account]) -> Counter[Account]:
    totals: Counter[Account] = Counter()
    for uid, some in readings.items():
        totals[owners[uid]] += sum(len(reading.values) for reading in some)
    return totals


def _level(totals: Iterable[int], most: int) -> int:
    """Return the largest share with which all together, none of which takes more than it has, stay within `most`."""
    left, waiting = most, sorted(totals)
    while waiting:
        level = left // len(waiting)
        if waiting[0] > level:
            return level
        left -= waiting.pop(0)
    return most
