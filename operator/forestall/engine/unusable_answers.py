"""Explains which part of an answer can't be used, in messages that a person can act on."""

from typing import Final

from forestall.core.promql import NOT_COMPARABLE
from forestall.core.risk import SLI
from forestall.core.wording import is_or_are, shortened_list
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.ports import Answer, QueryFailure

_SHOWN: Final = 300
"""How many characters of a query are shown in a message."""
_NAMED: Final = 8
"""How many labels are named in a message."""


def unusable_part(watched: IndicatorQuery, answer: Answer, usable: int) -> QueryFailure | None:
    """Return the failure for the unusable part of an answer; its other series can be used."""
    count, per = len(answer.samples), watched.per
    if watched.indicator == SLI and any(sample.value == NOT_COMPARABLE for sample in answer.samples):
        message = (
            "events that can't be told good or bad are mixed in, as while versions with other labels or buckets mix"
        )
        return QueryFailure("NotComparable", message)
    if not count or (watched.indicator == SLI and not usable):
        cause = "there were no events" if watched.indicator == SLI else "the query returns nothing"
        return QueryFailure("NoData", f"{cause}; sent was {query_text(watched)}")
    if usable == count:
        return None
    unlabelled = 0 if per is None else sum(per not in dict(sample.labels) for sample in answer.samples)
    if unlabelled:
        have = "has" if unlabelled == 1 else "have"
        message = f"{unlabelled} of {count} series {have} no label {per!r}, which `per` names; {_labels(answer)}"
        return QueryFailure("LabelMissing", message)
    return QueryFailure("NotFinite", f"{count - usable} of {count} series {is_or_are(count - usable)} NaN or infinite")


def query_text(watched: IndicatorQuery) -> str:
    """Return the query that was sent, cut to the length for a message."""
    text = watched.query.expr
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _labels(answer: Answer) -> str:
    """Return a list of the labels of an answer's series, for a message."""
    names = sorted({name for sample in answer.samples for name, _ in sample.labels})
    shown_names = shortened_list(names, _NAMED)
    return f"there are the labels {shown_names}" if names else "they have no labels: keep it by `by (…)` in the query"
