"""What an action would change: found from the labels of the series that caused the risk."""

from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest

from forestall.actions import ACTIONS, Aim
from forestall.api.remediation import ObjectRef
from forestall.api.remediation_policy import ACTIONS as FIELDS
from forestall.api.remediation_policy import CordonAction, Rung
from forestall.core.decision import Hold
from forestall.errors import NotFound

WORKLOAD = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout", uid="w")


def aim(**labels: str) -> Aim:
    return Aim(Rung(cordon=CordonAction()), WORKLOAD, labels, risk_since=0.0)


def test_every_action_of_the_api_is_there():
    assert [field.capitalize() for field in FIELDS] == list(ACTIONS)


async def test_a_cordon_is_of_the_node_that_the_cause_names():
    cluster = SimpleNamespace(read=AsyncMock(return_value={"metadata": {"uid": "n"}}))
    target = await ACTIONS["Cordon"].aim(cluster, aim(node="n1"))
    assert isinstance(target, ObjectRef)
    assert (target.kind, target.name, target.uid) == ("Node", "n1", "n")


@pytest.mark.parametrize("labels", [{}, {"node": "gone"}])
async def test_a_node_that_is_not_known_is_not_cordoned(labels):
    cluster = SimpleNamespace(read=AsyncMock(side_effect=NotFound("no such node")))
    hold = await ACTIONS["Cordon"].aim(cluster, aim(**labels))
    assert isinstance(hold, Hold)
    assert hold.reason == "NodeUnknown"
