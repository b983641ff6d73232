"""The cluster of a dry run."""

from typing import Any

import pytest

from forestall.adapters.dry_run import DryRunCluster
from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict
from forestall.ports import Event, ScaleSubresource

REF = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="web")
POD = ObjectRef(api_version="v1", kind="Pod", namespace="shop", name="web-1", uid="u")


class Looking:
    """A cluster that fails at whatever would change it."""

    async def read(self, ref: ObjectRef) -> dict[str, Any]:
        return {
            "metadata": {"name": ref.name, "uid": "u", "resourceVersion": "7", "labels": {"a": "1"}},
            "spec": {"x": 1, "y": 2},
        }

    async def read_scale(self, _: ObjectRef) -> ScaleSubresource:
        return ScaleSubresource(3, 3, "app=web", "7", "u")

    async def find(self, *_: str, **__: str) -> list[dict[str, Any]]:
        return [{"kind": "Deployment"}]

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} would write")


@pytest.fixture
def cluster() -> DryRunCluster:
    return DryRunCluster(Looking())


async def test_reads_pass_through(cluster):
    assert (await cluster.read(REF))["metadata"]["resourceVersion"] == "7"
    assert (await cluster.read_scale(REF)).spec_replicas == 3
    assert await cluster.find("apps/v1", "Deployment") == [{"kind": "Deployment"}]


async def test_writes_return_what_a_real_write_would(cluster):
    assert (await cluster.write_scale(REF, 5, "7")).spec_replicas == 5
    patched = await cluster.patch(REF, {"metadata": {"labels": {"b": "2"}}, "spec": {"x": None, "y": {"z": 1}}}, "7")
    assert patched["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert patched["spec"] == {"y": {"z": 1}}
    assert (await cluster.replace_status(REF, {"s": 1}, "7"))["status"] == {"s": 1}
    assert (await cluster.apply_status(REF, {"s": 2}, "7"))["status"] == {"s": 2}
    created = await cluster.create({"kind": "X", "metadata": {"name": "x"}, "spec": {}})
    assert created["metadata"]["name"] == "x"
    assert created["metadata"]["uid"]


async def test_preconditions_are_checked(cluster):
    for write in (
        cluster.write_scale(REF, 5, "6"),
        cluster.patch(REF, {}, "6"),
        cluster.replace_status(REF, {}, "6"),
        cluster.apply_status(REF, {}, "6"),
        cluster.evict(POD.model_copy(update={"uid": "another"})),
    ):
        with pytest.raises(Conflict):
            await write


async def test_writes_are_logged(cluster, capsys):
    await cluster.write_scale(REF, 5, "7")
    await cluster.evict(POD)
    await cluster.record(Event(REF, "Normal", "Scaled", "from 3 to 5"))
    said = capsys.readouterr().out
    assert "would scale" in said
    assert "would evict" in said
    assert "would record event" in said
