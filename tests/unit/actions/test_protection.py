"""What people have protected by an annotation, looked for above a pod.

Kind: objects that refer to each other without end, as who edits a namespace can make them.
"""

from typing import Any

import pytest

from forestall.actions.protection import PROTECTED, protected_from_above
from forestall.api.remediation import ObjectRef


def replica_set(number: int, owner: int, kind: str = "ReplicaSet", **annotations: str) -> dict[str, Any]:
    above = {"apiVersion": "apps/v1", "kind": kind, "name": f"r-{owner}", "uid": f"u-{owner}", "controller": True}
    metadata = {"name": f"r-{number}", "namespace": "shop", "uid": f"u-{number}", "ownerReferences": [above]}
    return {"metadata": {**metadata, "annotations": annotations}}


class World:
    """Has ReplicaSets 0 to n, each owned by what `owner` says, and counts what is read."""

    def __init__(self, owner: Any, protected: int = -1) -> None:
        self.owner, self.protected, self.reads = owner, protected, 0

    async def read(self, ref: ObjectRef) -> dict[str, Any]:
        self.reads += 1
        if ref.kind == "Namespace":
            return {"metadata": {"name": ref.name, "uid": "n-1"}}
        number = int(ref.name.removeprefix("r-"))
        annotations = {PROTECTED: "true"} if number == self.protected else {}
        return replica_set(number, self.owner(number), **annotations)


@pytest.mark.parametrize(
    "owner",
    [lambda n: n, lambda n: 1 - n, lambda n: n + 1],
    ids=["its own", "each other's", "one after the other"],
)
async def test_owners_without_end_are_followed_for_a_few_steps(owner):
    world = World(owner)
    assert await protected_from_above(world, [replica_set(7, 0)]) == frozenset()  # type: ignore[arg-type]  # it only reads
    assert world.reads <= 5


@pytest.mark.parametrize("protected", [0, 1, 2])
async def test_what_is_protected_above_is_found(protected):
    world = World(lambda n: n + 1, protected)
    assert await protected_from_above(world, [replica_set(7, 0)]) == {"u-7"}  # type: ignore[arg-type]  # it only reads
