"""Merge patches: what is sent makes of one document just the other."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.kinds import merged

from forestall.actions.merging import difference

SCALARS = st.one_of(st.booleans(), st.integers(), st.text(max_size=3))
DOCUMENTS = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), DOCUMENTS, max_size=3)


@given(OBJECTS, OBJECTS)
def test_the_patch_makes_one_document_of_the_other(before, after):
    assert merged(before, difference(before, after)) == after


@given(OBJECTS)
def test_nothing_is_sent_where_nothing_differs(document):
    assert difference(document, document) == {}


def test_a_null_counts_as_absent():
    assert difference({"a": None}, {"a": None, "b": 1}) == {"b": 1}
    assert difference({"a": 1}, {"a": None}) == {"a": None}
