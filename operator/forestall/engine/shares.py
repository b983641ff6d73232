"""How many series of one namespace are kept, so that there is memory for everybody's."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from forestall.engine.observe import Reading
from forestall.engine.questions import Questions
from forestall.ports import QueryFailure


def within_series(
    readings: Mapping[str, Sequence[Reading]], asked: Mapping[str, Questions]
) -> dict[str, tuple[Reading, ...]]:
    """Return the readings without those that bring more series than their namespace's share allows.

    Both are by objective (UID). The queries that return the fewest count first, so that one which returns very many
    costs no other.
    """
    accounts: dict[tuple[str, str], list[tuple[int, str, int]]] = defaultdict(list)
    for uid, some in readings.items():
        accounts[asked[uid].source, asked[uid].namespace] += [
            (len(reading.values), uid, place) for place, reading in enumerate(some)
        ]
    result = {uid: list(some) for uid, some in readings.items()}
    for (_, name), entries in accounts.items():
        most = asked[entries[0][1]].share.series
        total = sum(count for count, *_ in entries)
        if total <= most:
            continue
        kept = 0
        for count, uid, place in sorted(entries):
            kept += count
            if count and kept > most:
                words = (
                    f"the query returns {count} series, and with it the queries of namespace {name} return {total}: "
                    f"{most} are the most that are kept for it (`spec.perNamespace.series` of the MetricSource): "
                    "aggregate, or ask an admin for more"
                )
                failure = QueryFailure("ShareExhausted", words)
                result[uid][place] = replace(result[uid][place], values={}, fresh=False, problem=failure)
    return {uid: tuple(some) for uid, some in result.items()}
