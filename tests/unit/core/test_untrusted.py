"""Objects that others write are read without trust.

The kind: a foreign object is parsed with our own bounds, and what does not fit ends the cycle of everybody.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.core.label_selectors import selects
from forestall.core.untrusted import decimal_integer, get_path, integer, mapping, mappings, parsing, string, string_map
from forestall.errors import InvalidInput, Unreadable

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JUNK, st.lists(st.text(max_size=5), max_size=3))
def test_nothing_that_json_can_hold_raises(value, path):
    assert isinstance(mapping(value), dict)
    assert isinstance(mappings(value), list)
    assert isinstance(string(value), str)
    assert all(isinstance(entry, str) for entry in string_map(value).values())
    number = integer(value)
    assert number is None or (number == value and abs(number) < 2**63)
    assert decimal_integer(value) is None or int(value) == decimal_integer(value)
    get_path(value, *path)
    assert selects(value, {"app": "web"}) in (True, False, None)
    assert selects({"matchLabels": value}, {"app": "web"}) in (True, False, None)
    assert selects({"matchExpressions": value}, {"app": "web"}) in (True, False, None)
    assert selects({"matchExpressions": [value, {"key": "a", "operator": value, "values": value}]}, {}) in (False, None)


@pytest.mark.parametrize(
    ("value", "number"),
    [(None, 7), (0, 0), (3, 3), (True, None), ("3", None), (3.0, None), (2**63, None), (-(2**64), None), ([], None)],
)
def test_an_integer_fits_into_int64(value, number):
    assert integer(value, default=7) == number


@pytest.mark.parametrize(("value", "number"), [("12", 12), ("", None), ("-1", None), ("9" * 5000, None), ("٣", None)])
def test_a_revision_of_five_thousand_digits_is_no_number(value, number):
    assert decimal_integer(value, default=0) == number


@pytest.mark.parametrize("error", [KeyError("a"), TypeError(), ValueError(), OverflowError(), InvalidInput()])
def test_an_unreadable_object_is_named(error):
    with (
        pytest.raises(Unreadable, match="the ReplicaSet web-1 can't be understood"),
        parsing("the ReplicaSet web-1"),
    ):
        raise error


def expression(operator, values=None, key="app"):
    return {"key": key, "operator": operator} | ({} if values is None else {"values": values})


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": None, "matchExpressions": None}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [expression("In", ["web", "db"])]}, True),
        ({"matchExpressions": [expression("NotIn", ["web", "db"])]}, False),
        ({"matchExpressions": [expression("NotIn", ["x"], "tier")]}, True),
        ({"matchExpressions": [expression("Exists")]}, True),
        ({"matchExpressions": [expression("DoesNotExist", [])]}, False),
        # Kubernetes sets no bound to how many there are.
        ({"matchExpressions": [expression("In", [*(f"v{n}" for n in range(65)), "web"])]}, True),
        ({"matchExpressions": [expression("NotIn", [f"v{n}" for n in range(65)])] * 17}, True),
        ({"matchLabels": {"app": "web", **{f"k{n}": "v" for n in range(16)}}}, False),
        # What is not known does not hide what is.
        ({"matchLabels": {"app": "db"}, "matchExpressions": [expression("Like", ["w*"])]}, False),
        ({"matchExpressions": [expression("Like", ["w*"])]}, None),
        ({"matchExpressions": [expression("In", [])]}, None),
        ({"matchExpressions": [expression("In", ["web", 1])]}, None),
        ({"matchExpressions": "app"}, None),
        ({"matchExpressions": 1}, None),
        ({"matchExpressions": True}, None),
        ({"matchLabels": ["app"]}, None),
        ({"matchLabels": {"app": 1}}, None),
        ({"matchFields": [{"key": "x"}]}, None),
        ("app=web", None),
    ],
)
def test_selectors_have_the_semantics_of_kubernetes(selector, selected):
    assert selects(selector, {"app": "web"}) is selected


def test_a_selector_of_seventeen_labels_matches():
    labels = {f"k{n}": "v" for n in range(17)}
    assert selects({"matchLabels": labels}, labels) is True
