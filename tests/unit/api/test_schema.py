"""An object against its definition: everything that the API server refuses, and what to write instead."""

import pytest
from tests.cluster.test_crds import GOOD, REFUSED, changed, document

from forestall.api.schema import check


@pytest.mark.parametrize("kind", GOOD)
def test_what_the_api_server_takes_is_right(kind):
    assert check(document(kind, GOOD[kind])) == []


@pytest.mark.parametrize(("kind", "path", "value", "message"), REFUSED)
def test_what_the_api_server_refuses_is_an_error_here_too(kind, path, value, message):
    """Kind: an object that passes the check of files and not `kubectl apply`."""
    found = check(document(kind, changed(GOOD[kind], path, value)))
    assert found
    assert all(each.level == "error" for each in found)


MEANT = [
    ("ServiceLevelObjective", "indicator.latency.threshold", 500, "write 500ms"),
    ("ServiceLevelObjective", "indicator.latency.threshold", 0.5, "write 500ms"),
    ("ServiceLevelObjective", "indicator.latency.threshold", 2, "write 2s"),
    ("ServiceLevelObjective", "indicator.latency.threshold", "0.5s", "write 500ms"),
    ("ServiceLevelObjective", "window", "30 days", "write 30d"),
    ("ServiceLevelObjective", "window", "2 Weeks", "write 2w"),
    ("ServiceLevelObjective", "window", 30, "write 30s or 30m"),
    ("ServiceLevelObjective", "leadingIndicators.0.limit", "500Mi", "write 524288000"),
    ("ServiceLevelObjective", "leadingIndicators.0.limit", "0,8", "write 0.8"),
    ("ServiceLevelObjective", "leadingIndicators.0.limit", "90%", "write 90"),
    ("ServiceLevelObjective", "leadingIndicators.0.limit", True, "must be a number"),
    ("ServiceLevelObjective", "objective", "99.5%", "write 99.5"),
    ("ServiceLevelObjective", "objective", "99.5", "write 99.5 without quotes"),
    ("ServiceLevelObjective", "objective", float("inf"), "must be a finite number"),
    ("ServiceLevelObjective", "dependsOn", "cart", "must be a list: write [cart]"),
    ("ServiceLevelObjective", "target", "shop", "must be a map, with a line for each field: name"),
    ("ServiceLevelObjective", "description", 5, 'must be a text: write "5"'),
    ("RemediationPolicy", "actions", {"scale": {"maxReplicas": 9}}, "must be a list: write a dash before each element"),
    ("RemediationPolicy", "suspend", "true", "write true without quotes"),
    ("RemediationPolicy", "suspend", "maybe", "write true or false"),
    ("RemediationPolicy", "when.probability", 80, "write 0.8"),
    ("RemediationPolicy", "mode", "auto", "Did you mean Auto?"),
    ("RemediationPolicy", "actions.0.scale.maxReplicas", "ten", "must be a whole number, and 'ten' is none"),
]
"""Kind, path, what a person writes, and what must be said."""


@pytest.mark.parametrize(("kind", "path", "value", "said"), MEANT)
def test_a_value_of_the_wrong_form_is_told_with_what_to_write(kind, path, value, said):
    """Kind: 'must be string' where a person needs to know what to write."""
    (found,) = check(document(kind, changed(GOOD[kind], path, value)))
    assert said in str(found)


@pytest.mark.parametrize(
    ("kind", "path", "said"),
    [
        ("ServiceLevelObjective", "leadingIndicators.0.horizont", "horizont: unknown field. Did you mean horizon?"),
        ("ServiceLevelObjective", "leadingIndicators.0.Limit", "Did you mean limit?"),
        ("ServiceLevelObjective", "horizon", "it belongs in spec.leadingIndicators[].horizon"),
        ("ServiceLevelObjective", "zzz", "the fields here are description, target"),
        ("RemediationPolicy", "actions.0.scale.capacity.perreplica", "Did you mean perReplica?"),
        ("RemediationPolicy", "probability", "it belongs in spec.when.probability"),
    ],
)
def test_a_field_that_is_not_known_is_told_with_the_one_that_was_meant(kind, path, said):
    """Kind: a misspelt field that is passed over, so that its default holds."""
    found = check(document(kind, changed(GOOD[kind], path, 5)))
    assert [each for each in found if said in str(each)], found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "ServiceLevelObjectve"}, "Did you mean ServiceLevelObjective?"),
        ({"apiVersion": "forestall.dev/v1"}, "write forestall.dev/v1alpha1"),
        ({"specs": {}}, "specs: unknown field. Did you mean spec?"),
        ({"metadata": {}}, "metadata.name: the name is missing"),
        ({"metadata": {"name": "My SLO"}}, "'My SLO' is not a name"),
        ({"metadata": {"name": "a", "labels": {"version": 2}}}, 'metadata.labels.version: must be a text: write "2"'),
        ({"spec": None}, "spec: is missing"),
        ({"spec": []}, "spec: must be a map"),
    ],
)
def test_around_the_spec(change, said):
    found = check(document("ServiceLevelObjective", GOOD["ServiceLevelObjective"]) | change)
    assert [each for each in found if said in str(each)], found


def test_an_empty_field_is_one_that_is_not_there():
    spec = changed(changed(GOOD["RemediationPolicy"], "cooldown", None), "when", None)
    assert check(document("RemediationPolicy", spec)) == []
