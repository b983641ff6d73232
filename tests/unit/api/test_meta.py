"""Durations, their bounds and label selectors, as the models check them."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from forestall.api.meta import Between, Duration, LabelSelector

duration = TypeAdapter(Duration)
bounded = TypeAdapter(Annotated[Duration, Between("1h", "90d")])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("30d", 2_592_000), ("250ms", 0.25), ("1w2d", 777_600)]
)
def test_duration_is_a_text_that_knows_its_seconds(text: str, seconds: float) -> None:
    read = duration.validate_python(text)
    assert read == text
    assert read.seconds == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5x", "30s1m", "-5m", "1.5h", "5M", "P1D", "1m\n"])
def test_what_is_no_duration_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ValidationError, match="not a duration: write it like 90s, 5m, 1h30m or 30d"):
        duration.validate_python(text)


@pytest.mark.parametrize("text", ["1h", "3600s", "90d", "12w6d"])
def test_bounds_are_included(text: str) -> None:
    assert bounded.validate_python(text) == text


@pytest.mark.parametrize("text", ["59m59s", "90d1ms", "0s"])
def test_outside_the_bounds_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="must be from 1h to 90d"):
        bounded.validate_python(text)


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))


@given(labels)
def test_an_empty_selector_selects_everything(found: dict[str, str]) -> None:
    assert LabelSelector().matches(found)


@given(labels, st.sampled_from("abc"), st.lists(st.sampled_from("xyz"), min_size=1))
def test_a_requirement_and_its_opposite_never_agree(found: dict[str, str], key: str, values: list[str]) -> None:
    def matches(operator: str, values: list[str]) -> bool:
        expression = {"key": key, "operator": operator, "values": values}
        return LabelSelector.model_validate({"matchExpressions": [expression]}).matches(found)

    assert matches("In", values) != matches("NotIn", values)
    assert matches("Exists", []) != matches("DoesNotExist", [])


@given(labels, labels)
def test_all_labels_must_match(found: dict[str, str], wanted: dict[str, str]) -> None:
    assert LabelSelector(match_labels=wanted).matches(found) == (wanted.items() <= found.items())
