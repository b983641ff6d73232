"""Which pods and nodes were at risk, exist, and have no series any more; each limit from both sides."""

import pytest

from forestall.core.subjects import ListedSubject
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.readings import Reading
from forestall.engine.silent_subjects import SilentSubjects
from forestall.ports import Query

NOW, HOUR = 1_800_000_000.0, 3600.0
NODE = ListedSubject("u-1", NOW - HOUR)
BOTH = {"a": NODE, "b": ListedSubject("u-2", NOW - HOUR)}


def reading(at: float = 0.0, objective: str = "o-1", indicator: str = "memory") -> Reading:
    """Return a fresh reading whose newest sample is from `at` s after `NOW`."""
    watched = IndicatorQuery(
        objective, indicator, Query((objective, indicator), "x"), 100.0, True, 600.0, "node", False
    )
    return Reading(watched, sampled_at=NOW + at, fresh=True)


@pytest.fixture
def silent():
    """Subjects of which `a` is at risk and `b` is not."""
    made = SilentSubjects()
    assert made.note(reading(), ("a", "b"), ("a",), BOTH) == frozenset()
    return made


@pytest.mark.parametrize(
    ("names", "listed", "expected"),
    [
        (("b",), BOTH, {"a"}),
        ((), BOTH, {"a"}),
        (("a",), BOTH, set()),
        (("b",), {"b": NODE}, set()),
        (("b",), {"a": ListedSubject("u-3", NOW)}, set()),
        (("b",), {"a": ListedSubject("u-1", NOW - HOUR, terminating=True)}, set()),
    ],
    ids=["without series", "none has any", "with series", "deleted", "replaced", "being deleted"],
)
def test_a_subject_at_risk_that_exists_is_silent_without_series(silent, names, listed, expected):
    assert silent.note(reading(10.0), names, (), listed) == expected


@pytest.mark.parametrize(("at", "expected"), [(HOUR - 0.1, {"a"}), (HOUR, set())])
def test_a_subject_is_silent_for_an_hour_from_its_last_sample(silent, at, expected):
    assert silent.note(reading(60.0), (), (), BOTH) == {"a"}
    assert silent.note(reading(at), (), (), BOTH) == expected
    assert silent.remembers(reading()) is bool(expected)


def test_while_nothing_can_be_listed_what_was_silent_stays_so_until_it_has_series(silent):
    assert silent.note(reading(10.0), (), (), None) == frozenset(), "it was not silent before"
    assert silent.note(reading(20.0), (), (), BOTH) == {"a"}
    assert silent.note(reading(30.0), ("b",), (), None) == {"a"}
    assert silent.note(reading(40.0), ("a",), (), None) == frozenset()


def test_what_is_at_risk_and_not_listed_is_not_remembered():
    silent = SilentSubjects()
    silent.note(reading(), ("a",), ("a",), {})
    assert not silent.remembers(reading())


def test_each_indicator_of_each_objective_has_its_own_subjects_until_the_objective_is_gone(silent):
    others = [reading(indicator="disk"), reading(objective="o-2")]
    assert [silent.remembers(item) for item in (reading(), *others)] == [True, False, False]
    assert [silent.note(item, (), (), BOTH) for item in others] == [frozenset(), frozenset()]
    assert silent.note(reading(), (), (), BOTH) == {"a"}
    silent.retain({"o-1"})
    assert silent.remembers(reading())
    assert silent.note(reading(), (), (), None) == {"a"}
    silent.retain({"o-2", "memory"})
    assert silent.note(reading(), (), (), None) == frozenset()
    assert not silent.remembers(reading())
