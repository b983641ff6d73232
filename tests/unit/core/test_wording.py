"""Words that depend on how many there are, and the name that was likely meant."""

import pytest

from forestall.core.wording import closest, did_you_mean, is_or_are, plural, shortened_list


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 objectives are"), (1, "1 objective is"), (2, "2 objectives are"), (21, "21 objectives are")],
)
def test_plurals_by_count(count, expected):
    """Kind: `1 objectives are selected`."""
    assert f"{plural(count, 'objective')} {is_or_are(count)}" == expected


def test_a_plural_of_its_own():
    assert (plural(1, "policy", "policies"), plural(2, "policy", "policies")) == ("1 policy", "2 policies")
    assert plural(2, "series", "series") == "2 series"


def test_suggestions_for_misspelled_names():
    assert closest("Leek", ["leak", "early"]) == "leak"
    assert closest("maxreplica", ["minReplicas", "maxReplicas"]) == "maxReplicas"
    assert did_you_mean("leek", ["leak"]) == " Did you mean leak?"
    assert (closest("zzz", ["leak"]), did_you_mean("zzz", ["leak"]), closest("a", [])) == (None, "", None)


@pytest.mark.parametrize(
    ("items", "expected"), [((), ""), (("a",), "a"), (("a", "b"), "a, b"), (("a", "b", "c"), "a, b, …")]
)
def test_long_lists_end_with_an_ellipsis(items, expected):
    assert shortened_list(items, 2) == expected
