"""The registry: what it takes in, what it refuses, and what it says of both."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.api import Guardrail, ServiceLevelObjective
from forestall.registry import TOMBSTONES, WATCHED, Invalid, Registry

SLO = ServiceLevelObjective.KIND


def body(name="checkout", uid="u1", version="1", namespace="shop", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": SLO,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "resourceVersion": version,
            "generation": 3,
        },
        "spec": {
            "target": {"name": "web"},
            "indicator": {"raw": {"errorRatio": "x"}},
            "objective": 99.5,
            **spec,
        },
    }


@pytest.fixture
def registry() -> Registry:
    return Registry()


def objective(registry: Registry, name="checkout") -> float | None:
    resource = registry.get(ServiceLevelObjective, name, "shop")
    return None if resource is None else resource.spec.objective


def test_finds_what_was_put(registry):
    registry.put(SLO, body())
    assert objective(registry) == 99.5
    assert registry.by_uid(ServiceLevelObjective, "u1") is registry.get(ServiceLevelObjective, "checkout", "shop")
    assert registry.get(ServiceLevelObjective, "checkout", "other") is None


def test_lists_by_namespace_and_name(registry):
    registry.put(SLO, body("b", "1"))
    registry.put(SLO, body("a", "2"))
    registry.put(SLO, body("c", "3", namespace="bank"))
    assert [resource.name for resource in registry.all(ServiceLevelObjective)] == ["c", "a", "b"]
    assert [resource.name for resource in registry.all(ServiceLevelObjective, "shop")] == ["a", "b"]


def test_an_older_state_never_overwrites_a_newer_one(registry):
    registry.put(SLO, body(version="10", objective=99))
    assert registry.put(SLO, body(version="9", objective=90)) is None
    assert objective(registry) == 99


def test_an_echo_of_the_same_state_is_not_read_again(registry):
    first = registry.put(SLO, body(version="10"))
    assert registry.put(SLO, body(version="10")) is None
    assert registry.by_uid(ServiceLevelObjective, "u1") is first


def test_versions_that_have_no_order_are_taken_as_they_come(registry):
    registry.put(SLO, body(version="zz", objective=99))
    registry.put(SLO, body(version="aa", objective=98))
    assert objective(registry) == 98


def test_a_late_answer_does_not_bring_a_deleted_object_back(registry):
    registry.put(SLO, body(version="10"))
    assert registry.remove(SLO, "u1")
    assert registry.put(SLO, body(version="11")) is None
    assert objective(registry) is None


def test_a_late_deletion_does_not_take_the_next_object_of_the_same_name(registry):
    registry.put(SLO, body(uid="old", version="10"))
    registry.put(SLO, body(uid="new", version="12"))
    assert not registry.remove(SLO, "old")
    assert objective(registry) == 99.5
    assert registry.uids(SLO) == {"new"}


def test_deletions_are_remembered_for_so_many_objects_only(registry):
    for number in range(TOMBSTONES + 1):
        registry.remove(SLO, f"gone-{number}")
    assert registry.put(SLO, body(uid="gone-0")) is not None
    assert registry.put(SLO, body("other", uid="gone-1")) is None


def test_prunes_what_it_knows(registry):
    registry.put(SLO, body("a", "1"))
    registry.put(SLO, body("b", "2"))
    assert registry.prune(SLO, {"1", "never-seen"}) == 1
    assert registry.uids(SLO) == {"2"}


def test_a_bad_object_is_told_about_and_disturbs_no_other(registry):
    registry.put(SLO, body("good", "1"))
    bad = registry.put(SLO, body("bad", "2", objective=180, window="a while"))
    assert isinstance(bad, Invalid)
    assert (bad.ref.namespace, bad.ref.name, bad.ref.uid, bad.generation) == ("shop", "bad", "2", 3)
    assert "spec.objective: " in bad.message
    assert "spec.window: " in bad.message
    assert objective(registry, "good") == 99.5
    assert registry.get(ServiceLevelObjective, "bad", "shop") is None
    assert registry.is_invalid(ServiceLevelObjective, "bad", "shop")
    assert not registry.is_invalid(ServiceLevelObjective, "good", "shop")
    assert list(registry.invalid()) == [bad]
    assert [resource.name for resource in registry.all(ServiceLevelObjective)] == ["good"]
    assert registry.uids(SLO) == {"1", "2"}


def test_an_object_that_was_mended_is_valid_again(registry):
    registry.put(SLO, body(version="1", objective=180))
    registry.put(SLO, body(version="2"))
    assert list(registry.invalid()) == []
    assert objective(registry) == 99.5


def test_an_object_that_was_spoilt_is_valid_no_more(registry):
    registry.put(SLO, body(version="1"))
    registry.put(SLO, body(version="2", objective=180))
    assert objective(registry) is None


def test_a_message_names_three_fields_and_counts_the_rest(registry):
    wrong = body(objective="x", window="x", source="-", dependsOn=7, target={})
    entry = registry.put(SLO, wrong)
    assert isinstance(entry, Invalid)
    assert entry.message.count("spec.") == 3
    assert entry.message.endswith("and 2 more")


def test_a_message_names_the_place_in_a_list(registry):
    entry = registry.put(SLO, body(leadingIndicators=[{"name": "cpu", "query": "x"}]))
    assert isinstance(entry, Invalid)
    assert "spec.leadingIndicators[0].limit" in entry.message


def test_an_invalid_object_keeps_the_conditions_found_on_it(registry):
    spoilt = body(objective=180)
    ready = {"type": "Ready", "status": "False", "reason": "Invalid", "message": "m", "observedGeneration": 3}
    spoilt["status"] = {"conditions": [ready, {"type": "Odd"}, "what"]}
    entry = registry.put(SLO, spoilt)
    assert isinstance(entry, Invalid)
    assert [condition.type for condition in entry.conditions] == ["Ready"]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(spec=json, status=json, labels=json)
def test_takes_whatever_an_object_may_be(spec, status, labels):
    registry = Registry()
    odd = body()
    odd |= {"spec": spec, "status": status}
    odd["metadata"]["labels"] = labels
    assert registry.put(SLO, odd) is not None
    assert registry.uids(SLO) == {"u1"}


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "kind", "apiVersion", "x"]), json))
def test_takes_whatever_a_body_may_be(odd):
    assert isinstance(Registry().put(SLO, odd), Invalid)


@given(st.lists(st.tuples(st.integers(1, 20), st.sampled_from([90.0, 95.0, 99.0]))))
def test_the_newest_state_stays_in_whatever_order_states_come(states):
    registry = Registry()
    truth: dict[int, float] = {}
    for version, value in states:
        truth.setdefault(version, value)
        registry.put(SLO, body(version=str(version), objective=truth[version]))
    assert objective(registry) == (truth[max(truth)] if truth else None)


def test_knows_namespaces_by_their_labels(registry):
    metadata = {"name": "shop", "uid": "n1", "resourceVersion": "1", "labels": {"team": "a"}}
    registry.put("Namespace", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata, "spec": {}})
    assert registry.labels("shop") == {"team": "a"}
    assert registry.labels("unknown") is None


def test_is_synced_when_each_kind_is(registry):
    for model in WATCHED:
        assert model.KIND in registry.unsynced
        assert not registry.synced
        registry.mark_synced(model.KIND)
    assert registry.synced


def test_kinds_have_shelves_of_their_own(registry):
    registry.put(SLO, body("same", "1", namespace=""))
    metadata = {"name": "same", "uid": "2", "resourceVersion": "1"}
    registry.put(Guardrail.KIND, {"metadata": metadata, "spec": {}})
    registry.remove(SLO, "1")
    assert registry.get(Guardrail, "same") is not None


def test_an_action_of_a_newer_operator_makes_its_policy_invalid_and_no_other():
    """The kind: a word that only a later version knows ended the cycle of everybody (a CRD newer than the operator)."""
    registry = Registry()
    body = {"metadata": {"name": "early", "namespace": "shop", "uid": "p-1"}}
    entry = registry.put("RemediationPolicy", {**body, "spec": {"actions": [{"teleport": {}}]}})
    assert isinstance(entry, Invalid)
    assert "spec.actions[0]" in entry.message
    assert "this version knows" in entry.message


def test_what_raises_while_it_is_read_is_invalid_too(monkeypatch):
    def panic(*_):
        raise RecursionError

    monkeypatch.setattr(ServiceLevelObjective, "read", panic)
    entry = Registry().put("ServiceLevelObjective", {"metadata": {"name": "a", "namespace": "b", "uid": "c"}})
    assert isinstance(entry, Invalid)
    assert "RecursionError" in entry.message
