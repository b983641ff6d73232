"""Who sets the resources of pods.

Kind: an owner that writes elsewhere than where it shows, and makes what is written without effect.
"""

from typing import Any

import pytest

from forestall.actions.vertical import sized_by
from forestall.api.remediation import ObjectRef
from forestall.errors import Forbidden, NotFound

WEB = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="web", uid="d-1")
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
MEMORY = ("spec", "template", "spec", "containers", "name=main", "resources", "limits", "memory")


class Listed:
    """A cluster with these VerticalPodAutoscalers, or this trouble."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def find(self, *_: Any, **__: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def vertical(**spec: Any) -> list[dict[str, Any]]:
    return [{"metadata": {"name": "web"}, "spec": {"targetRef": TARGET, **spec}}]


def modes(**of: str) -> dict[str, Any]:
    policies = [{"containerName": name.replace("all", "*"), "mode": mode} for name, mode in of.items()]
    return {"resourcePolicy": {"containerPolicies": policies}}


@pytest.mark.parametrize(
    ("answer", "path", "owned"),
    [
        (vertical(), MEMORY, True),
        (vertical(updatePolicy={"updateMode": "Initial"}), MEMORY, True),
        (vertical(updatePolicy={"updateMode": "InPlaceOrRecreate"}), MEMORY, True),
        (vertical(updatePolicy={"updateMode": "Off"}), MEMORY, False),
        (vertical(**modes(main="Off")), MEMORY, False),
        (vertical(**modes(side="Off")), MEMORY, True),
        (vertical(**modes(all="Off")), MEMORY, False),
        (vertical(**modes(all="Off", main="Auto")), MEMORY, True),
        (vertical(targetRef={**TARGET, "name": "other"}), MEMORY, False),
        (vertical(targetRef="web", updatePolicy=[1]), MEMORY, False),
        (vertical(), ("spec", "template", "spec", "containers", "name=main", "image"), False),
        (vertical(), ("data", "resources"), False),
        (NotFound("no such kind"), MEMORY, False),
        (Forbidden("cannot list"), MEMORY, True),
        ([], MEMORY, False),
    ],
)
async def test_what_a_vertical_pod_autoscaler_sets_is_left_to_it(answer, path, owned):
    held = await sized_by(Listed(answer), WEB, path)  # type: ignore[arg-type]  # it only lists
    assert (held.reason if held else None) == ("FieldOwned" if owned else None)
