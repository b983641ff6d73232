"""What a source said about the past, which changes slowly and is dear to get: it is kept for a while."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from forestall.adapters.prometheus.question import Outcome, Question
from forestall.adapters.prometheus.sorting import Found

_KEPT = 3600.0
_KEPT_NOTHING = 600.0
"""How long (s) an answer about the past is kept."""


@dataclass(frozen=True, slots=True)
class PastQuestion(Question):
    """A question about what there was of a selector: the answer changes slowly, and is dear to get."""

    selector: str = ""


class PastMemory:
    """What a source said about the past."""

    def __init__(self) -> None:
        self._outcomes: dict[str, tuple[PastQuestion, float, Found]] = {}

    def known(self, at: float) -> dict[str, Outcome]:
        """Return the outcomes that hold at `at` (s), by their questions."""
        self._outcomes = {
            text: kept
            for text, kept in self._outcomes.items()
            if 0 <= at - kept[1] < (_KEPT if kept[2].series else _KEPT_NOTHING)
        }
        return {text: outcome for text, (_, _, outcome) in self._outcomes.items()}

    def keep(self, questions: Iterable[Question], outcomes: Mapping[str, Outcome], at: float) -> None:
        """Keep of the outcomes of a judge's questions at `at` those about the past."""
        for question in questions:
            outcome = outcomes.get(question.text)
            if isinstance(question, PastQuestion) and isinstance(outcome, Found) and not outcome.warnings:
                self._outcomes[question.text] = (question, at, outcome)

    def correct(self, there: Collection[str]) -> None:
        """Forget of the selectors that find something now that there never was anything, or from where it came."""
        self._outcomes = {text: kept for text, kept in self._outcomes.items() if kept[0].selector not in there}
