"""The log lines of changes."""

from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from forestall.adapters.change_log import LoggedCluster
from forestall.api.remediation import ObjectRef
from forestall.errors import Conflict
from forestall.ports import Event, ScaleSubresource

REF = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout", uid="u-1")
WHERE = {"kind": "Deployment", "namespace": "shop", "name": "checkout", "log_level": "info"}


class Answering:
    """A cluster that answers every call, and remembers its name."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **_: Any) -> Any:
            self.calls.append(name)
            if name == "write_scale":
                return ScaleSubresource(arguments[1], 3, "", "8", "u-1")
            return arguments[0] if name == "create" else {"metadata": {}}

        return call


async def test_each_change_and_each_event_is_one_log_line():
    inner = Answering()
    cluster = LoggedCluster(cast("Any", inner))
    patch = {"spec": {"unschedulable": True}, "metadata": {"annotations": {"a": "secret"}, "labels": {}}}
    with capture_logs() as lines:
        assert (await cluster.write_scale(REF, 5, "7")).spec_replicas == 5
        await cluster.patch(REF, patch, "7")
        await cluster.create({"kind": "Job", "metadata": {"namespace": "shop", "name": "run"}})
        await cluster.evict(REF)
        await cluster.delete(REF, "7")
        await cluster.record(Event(REF, "Normal", "RemediationVerifying", "early-scale-1: it is done", "Scale"))
    assert lines == [
        {"event": "scaled", **WHERE, "replicas": 5},
        {"event": "patched", **WHERE, "fields": ["/metadata/annotations/a", "/metadata/labels", "/spec/unschedulable"]},
        {"event": "created", "kind": "Job", "namespace": "shop", "name": "run", "log_level": "info"},
        {"event": "evicted", **WHERE},
        {"event": "deleted", **WHERE},
        {
            "event": "event",
            **WHERE,
            "reason": "RemediationVerifying",
            "message": "early-scale-1: it is done",
            "action": "Scale",
        },
    ]


async def test_status_writes_are_not_logged():
    inner = Answering()
    cluster = LoggedCluster(cast("Any", inner))
    with capture_logs() as lines:
        await cluster.replace_status(REF, {}, "7")
        await cluster.apply_status(REF, {}, "7")
    assert (inner.calls, lines) == (["replace_status", "apply_status"], [])


async def test_failed_changes_are_not_logged():
    class Refusing(Answering):
        async def write_scale(self, *_: Any) -> Any:
            raise Conflict("somebody wrote first")

    cluster = LoggedCluster(cast("Any", Refusing()))
    with capture_logs() as lines, pytest.raises(Conflict):
        await cluster.write_scale(REF, 5, "7")
    assert lines == []
