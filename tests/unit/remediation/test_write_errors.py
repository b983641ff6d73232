"""What is said where the API server refuses a change: whose refusal it is, and how an admin can allow it."""

import pytest

from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict, Denied, Forbidden, Unavailable
from forestall.remediation.write_errors import refused_write, unconfirmed_write

USER = 'deployments.apps "checkout" is forbidden: User "system:serviceaccount:ops:forestall" cannot patch resource'
NODE = ObjectRef(api_version="v1", kind="Node", name="n1", uid="n-1")
FLAGS = {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "flags"}
PATCH = {"target": FLAGS, "field": "/data/flag", "value": "off"}


def test_a_missing_right_is_said_with_the_command_that_grants_it(run):
    hold = refused_write(Forbidden(USER), run.intend())
    assert hold.reason == "Forbidden"
    assert hold.message == (
        f"{USER}. An admin of namespace shop can allow it: `kubectl create rolebinding forestall-workloads "
        "--clusterrole=forestall-workloads --serviceaccount=ops:forestall -n shop`"
    )


def test_who_is_no_service_account_is_not_named(run):
    hold = refused_write(Forbidden('User "kim" cannot patch'), run.intend())
    assert hold.message.endswith("An admin of namespace shop can allow it by a RoleBinding.")


@pytest.mark.parametrize(
    ("action", "target", "value"),
    [
        ({"patch": PATCH}, None, ". The chart's value `workloads.extraRules` must allow it too"),
        ({"drain": {}}, NODE, "allow it for node n1 by the chart's value `nodes.drain=true`."),
    ],
)
def test_what_the_chart_must_allow_is_named(run, action, target, value):
    changes = {"action": action} | ({"target": target.dump()} if target else {})
    assert value in refused_write(Forbidden(USER), run.intend(**changes)).message


@pytest.mark.parametrize("error", [Denied("admission webhook denied it"), Conflict("exists")])
def test_what_nobody_can_grant_is_refused(run, error):
    hold = refused_write(error, run.intend())
    assert (hold.reason, hold.message) == ("Refused", f"the API server refuses the change: {error}")


def test_a_write_without_an_answer_is_looked_for_in_the_next_cycle():
    hold = unconfirmed_write("replicas 3 -> 5", Unavailable("no answer within 4 s"))
    assert hold.reason == "NotConfirmed"
    assert hold.message.startswith("replicas 3 -> 5: no answer within 4 s; the next cycle looks")
