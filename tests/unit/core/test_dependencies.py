from hypothesis import given
from hypothesis import strategies as st

from forestall.core.dependencies import culprit, reachable

NAMES = st.sampled_from("abcdef")
EDGES = st.dictionaries(NAMES, st.frozensets(NAMES))


def test_the_root_of_the_trouble_is_named():
    edges = {"web": {"api"}, "api": {"db"}}
    assert culprit("web", edges, {"web", "api", "db"}) == "db"
    assert culprit("web", edges, {"web", "api"}) == "api"
    assert culprit("db", edges, {"web", "api", "db"}) is None


def test_a_circle_answers_for_itself():
    edges = {"a": {"b"}, "b": {"a"}}
    assert culprit("a", edges, {"a", "b"}) is None


@given(EDGES, st.frozensets(NAMES), NAMES)
def test_a_culprit_is_at_risk_and_something_that_the_victim_depends_on(edges, at_risk, victim):
    found = culprit(victim, edges, at_risk)
    assert found is None or (found in at_risk and found in reachable(victim, edges) and found != victim)


@given(EDGES, st.frozensets(NAMES, min_size=1))
def test_somebody_at_risk_always_answers_for_itself(edges, at_risk):
    assert any(culprit(name, edges, at_risk) is None for name in at_risk)
