"""Merge patches: what is sent makes of one document just the other."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from forestall.actions.merging import difference

SCALARS = st.one_of(st.booleans(), st.integers(), st.text(max_size=3))
DOCUMENTS = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), DOCUMENTS, max_size=3)


def merged(document: Any, patch: Any) -> Any:
    """Apply a merge patch, as RFC 7396 has it in its section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(OBJECTS, OBJECTS)
def test_the_patch_makes_one_document_of_the_other(before, after):
    assert merged(before, difference(before, after)) == after


@given(OBJECTS)
def test_nothing_is_sent_where_nothing_differs(document):
    assert difference(document, document) == {}


def test_a_null_counts_as_absent():
    assert difference({"a": None}, {"a": None, "b": 1}) == {"b": 1}
    assert difference({"a": 1}, {"a": None}) == {"a": None}
