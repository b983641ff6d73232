"""Nothing is sent to the cluster once people have paused it, and all of it while they have not."""

from typing import Any

import pytest

from forestall.api.remediation import ObjectRef
from forestall.core.decision import Hold
from forestall.errors import Halted
from forestall.ports import Event
from forestall.remediation.pause_fence import PauseFence

POD = ObjectRef(api_version="v1", kind="Pod", namespace="shop", name="web-1", uid="u-1")
WRITES: list[tuple[str, tuple[Any, ...]]] = [
    ("write_scale", (POD, 3, "7")),
    ("patch", (POD, {"spec": {}}, "7")),
    ("create", ({"kind": "Pod"},)),
    ("delete", (POD, "7")),
    ("evict", (POD,)),
    ("replace_status", (POD, {"phase": "Pending"}, "7")),
    ("apply_status", (POD, {"phase": "Pending"}, "7")),
]
EVENT = ("record", (Event(POD, "Normal", "Scaled", "3 -> 5", "Scale"),))


class Recording:
    """A cluster that writes down what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> str:
            self.calls.append((name, arguments))
            return "answer"

        return call


def fence(hold: Hold | None) -> tuple[Recording, PauseFence]:
    """Return a cluster, and the fence around it while `hold` is why it is paused."""

    async def pause_check() -> Hold | None:
        return hold

    cluster: Any = Recording()
    return cluster, PauseFence(cluster, pause_check)


@pytest.mark.parametrize(("verb", "arguments"), WRITES, ids=[verb for verb, _ in WRITES])
async def test_no_write_is_sent_while_it_is_paused(verb, arguments):
    cluster, fenced = fence(Hold("Paused", "namespace shop is paused"))
    with pytest.raises(Halted, match="namespace shop is paused") as halted:
        await getattr(fenced, verb)(*arguments)
    assert halted.value.reason == "Paused"
    assert cluster.calls == []


@pytest.mark.parametrize(("verb", "arguments"), [*WRITES, EVENT], ids=[*(verb for verb, _ in WRITES), "record"])
async def test_everything_is_passed_on_while_it_is_not(verb, arguments):
    cluster, fenced = fence(None)
    answer = await getattr(fenced, verb)(*arguments)
    assert cluster.calls == [(verb, arguments)]
    assert answer == (None if verb in ("delete", "evict", "record") else "answer")


async def test_an_event_changes_nothing_and_is_recorded_also_while_it_is_paused():
    cluster, fenced = fence(Hold("Paused", "everything is paused"))
    await fenced.record(*EVENT[1])
    assert cluster.calls == [EVENT]
