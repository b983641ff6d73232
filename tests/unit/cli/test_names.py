"""One form of names in all commands: `KIND/NAME`, and the name alone where a command is about one kind."""

import click
import pytest

from forestall.cli.objects import Named, parse_name


@pytest.mark.parametrize(
    "word",
    ["slo", "slos", "fslo", "SLO", "objective", "ServiceLevelObjective", "servicelevelobjectives.forestall.dev"],
)
def test_every_form_of_a_kind_means_it(word):
    """Kind: what one command takes another refuses."""
    wanted = Named("ServiceLevelObjective", "two")
    assert parse_name(f"{word}/two", ("ServiceLevelObjective", "RemediationPolicy")) == wanted


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("policies/x", "RemediationPolicy"),
        ("remediationpolicy.forestall.dev/x", "RemediationPolicy"),
        ("deploy/x", "Deployment"),
        ("deployment.apps/x", "Deployment"),
        ("sts/x", "StatefulSet"),
        ("x", "Deployment"),
    ],
)
def test_kinds(text, kind):
    assert parse_name(text, ("RemediationPolicy", "Deployment", "StatefulSet"), "Deployment") == Named(kind, "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("two", "'two' is not slo/NAME or policy/NAME."),
        ("slo/", "'slo/' is not"),
        ("slo/Two", "'slo/Two' is not"),
        ("a/slo/two", "'a/slo/two' is not"),
        ("deployment/two", "'deployment/two' is not slo/NAME or policy/NAME."),
        ("sol/two", "Did you mean slo/two?"),
    ],
)
def test_other_forms_are_refused_with_those_that_are_taken(text, said):
    with pytest.raises(click.BadParameter, match=said):
        parse_name(text, ("ServiceLevelObjective", "RemediationPolicy"))


@pytest.mark.parametrize("name", ["checkout", "slo/checkout", "servicelevelobjective.forestall.dev/checkout"])
def test_explain_takes_the_form_of_pause(program, cluster, name):
    cluster.put_objective("checkout", "Healthy")
    assert program("explain", name)[0] == 0


@pytest.mark.parametrize("name", ["early", "policy/early"])
def test_unlock_takes_it_too(program, cluster, name):
    cluster.put("RemediationPolicy", "early", spec={"actions": [{"restart": {}}]})
    assert program("unlock", name)[0] == 0
