"""Caches answers about the past, which change slowly and are expensive."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from forestall.adapters.prometheus.query_outcomes import QueryOutcome
from forestall.adapters.prometheus.question import Outcome, Question

_KEPT = 3600.0
_KEPT_NOTHING = 600.0
"""How long (s) an answer about the past is cached."""


@dataclass(frozen=True, slots=True)
class PastQuestion(Question):
    """A question about the past series of a selector: the answer changes slowly, and is expensive."""

    selector: str = ""


class PastAnswerCache:
    """The cached answers of a source about the past."""

    def __init__(self) -> None:
        self._outcomes: dict[str, tuple[PastQuestion, float, QueryOutcome]] = {}

    def outcomes_at(self, at: float) -> dict[str, Outcome]:
        """Return the cached outcomes that are valid at `at` (s), by question."""
        self._outcomes = {
            text: entry
            for text, entry in self._outcomes.items()
            if 0 <= at - entry[1] < (_KEPT if entry[2].series else _KEPT_NOTHING)
        }
        return {text: outcome for text, (_, _, outcome) in self._outcomes.items()}

    def keep(self, questions: Iterable[Question], outcomes: Mapping[str, Outcome], at: float) -> None:
        """Cache those outcomes of a judge's questions at `at` (s) that are about the past."""
        for question in questions:
            outcome = outcomes.get(question.text)
            if isinstance(question, PastQuestion) and isinstance(outcome, QueryOutcome) and not outcome.warnings:
                self._outcomes[question.text] = (question, at, outcome)

    def correct(self, present: Collection[str]) -> None:
        """For selectors that match series now, drop the cached answers that there never were any, or which jobs
        exported them.
        """
        self._outcomes = {text: entry for text, entry in self._outcomes.items() if entry[0].selector not in present}
