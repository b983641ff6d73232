"""One field of a document."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.actions.fields import get, put
from forestall.errors import InvalidInput

BODY: dict[str, Any] = {
    "spec": {"limit": 5, "containers": [{"name": "main", "cpu": "1"}, {"name": "side", "cpu": "2"}]}
}
PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3)


def test_a_field_is_found_by_keys_and_names():
    assert get(BODY, ("spec", "limit")) == 5
    assert get(BODY, ("spec", "containers", "name=side", "cpu")) == "2"
    assert get(BODY, ("spec", "nothing", "here")) is None


def test_only_the_named_element_is_changed():
    changed = put(BODY, ("spec", "containers", "name=side", "cpu"), "3")
    assert changed["spec"]["containers"] == [{"name": "main", "cpu": "1"}, {"name": "side", "cpu": "3"}]
    assert BODY["spec"]["containers"][1]["cpu"] == "2", "the original stays"


@pytest.mark.parametrize(
    "path",
    [
        ("spec", "containers", "name=other", "cpu"),
        ("spec", "containers", "0", "cpu"),
        ("spec", "limit", "low"),
        ("spec", "name=main"),
    ],
)
def test_a_path_that_leads_nowhere_is_said(path):
    with pytest.raises(InvalidInput, match=r"there is no"):
        get(BODY, path)
    with pytest.raises(InvalidInput, match=r"there is no"):
        put(BODY, path, 1)


@given(PATHS, st.integers())
def test_what_is_put_is_there_and_can_be_taken_away(path, value):
    changed = put({}, path, value)
    assert get(changed, path) == value
    assert get(put(changed, path, None), path) is None
