"""What a source said about the past, which changes slowly and is dear to get: it is kept for a while."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from forestall.adapters.prometheus.query_outcomes import QueryOutcome
from forestall.adapters.prometheus.question import Outcome, Question

_KEPT = 3600.0
_KEPT_NOTHING = 600.0
"""How long (s) an answer about the past is kept."""


@dataclass(frozen=True, slots=True)
class PastQuestion(Question):
    """A question about what there was of a selector: the answer changes slowly, and is dear to get."""

    selector: str = ""


class PastAnswerCache:
    """What a source said about the past."""

    def __init__(self) -> None:
        self._outcomes: dict[str, tuple[PastQuestion, float, QueryOutcome]] = {}

    def outcomes_at(self, at: float) -> dict[str, Outcome]:
        """Return the outcomes that hold at `at` (s), by their questions."""
        self._outcomes = {
            text: entry
            for text, entry in self._outcomes.items()
            if 0 <= at - entry[1] < (_KEPT if entry[2].series else _KEPT_NOTHING)
        }
        return {text: outcome for text, (_, _, outcome) in self._outcomes.items()}

    def keep(self, questions: Iterable[Question], outcomes: Mapping[str, Outcome], at: float) -> None:
        """Keep of the outcomes of a judge's questions at `at` those about the past."""
        for question in questions:
            outcome = outcomes.get(question.text)
            if isinstance(question, PastQuestion) and isinstance(outcome, QueryOutcome) and not outcome.warnings:
                self._outcomes[question.text] = (question, at, outcome)

    def correct(self, present: Collection[str]) -> None:
        """Forget of the selectors that find something now that there never was anything, or from where it came."""
        self._outcomes = {text: entry for text, entry in self._outcomes.items() if entry[0].selector not in present}
