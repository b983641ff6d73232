"""Events are counted and limited, and their failures affect nothing else."""

import asyncio
from typing import Any

import pytest

from forestall.adapters.kubernetes.events import BURST, REFILL, SAME_WITHIN, WAITING, Recorder
from forestall.api.remediation import ObjectRef
from forestall.errors import NotFound, Unavailable
from forestall.ports import Event


class FakeApi:
    """Remembers what it was asked, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def request(self, method: str, path: str, *, body: dict[str, Any], **_: object) -> dict[str, Any]:
        await self.gate.wait()
        self.asked.append((method, path, body))
        if self.failures:
            raise self.failures.pop(0)
        return body


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def event(reason="AtRisk", name="checkout", message="soon", namespace="shop", kind="Warning") -> Event:
    about = ObjectRef(api_version="v1", kind="X", namespace=namespace, name=name, uid=f"uid-{name}")
    return Event(regarding=about, kind=kind, reason=reason, message=message)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(api: FakeApi, clock: Clock) -> Recorder:
    return Recorder(api, "pod-1", monotonic=clock, wall=clock)  # type: ignore[arg-type]


async def test_new_event_is_posted_to_the_namespace_of_its_object(recorder, api):
    await recorder.post(event())
    ((method, path, body),) = api.asked
    assert (method, path) == ("POST", "/api/v1/namespaces/shop/events")
    assert body["involvedObject"]["uid"] == "uid-checkout"
    assert body["metadata"]["name"].startswith("checkout.")
    assert body["firstTimestamp"] == "1970-01-01T00:00:00Z"
    assert (body["type"], body["reason"], body["message"], body["count"]) == ("Warning", "AtRisk", "soon", 1)


async def test_event_about_a_cluster_scoped_object_goes_to_default(recorder, api):
    await recorder.post(event(namespace=""))
    assert api.asked[0][1] == "/api/v1/namespaces/default/events"


async def test_repeated_event_is_counted_with_its_newest_message(recorder, api, clock):
    await recorder.post(event(message="P = 0.81"))
    clock.now += SAME_WITHIN
    await recorder.post(event(message="P = 0.97"))
    method, path, body = api.asked[1]
    assert method == "PATCH"
    assert path.endswith(api.asked[0][2]["metadata"]["name"])
    assert (body["count"], body["message"], body["lastTimestamp"]) == (2, "P = 0.97", "1970-01-01T00:10:00Z")


async def test_same_event_much_later_is_new(recorder, api, clock):
    await recorder.post(event())
    clock.now += SAME_WITHIN + 1
    await recorder.post(event())
    assert [method for method, _, _ in api.asked] == ["POST", "POST"]


async def test_different_events_and_objects_are_counted_separately(recorder, api):
    await recorder.post(event())
    await recorder.post(event(reason="Held"))
    await recorder.post(event(name="search"))
    await recorder.post(event(kind="Normal"))
    assert [method for method, _, _ in api.asked] == ["POST"] * 4


async def test_rate_limit_applies_to_each_object_separately(recorder, api, clock):
    for number in range(BURST + 5):
        await recorder.post(event(reason=f"R{number}"))
    assert len(api.asked) == BURST
    await recorder.post(event(name="search"))
    assert len(api.asked) == BURST + 1
    clock.now += REFILL
    await recorder.post(event(reason="Later"))
    await recorder.post(event(reason="Still"))
    assert len(api.asked) == BURST + 2


async def test_rate_limited_events_are_counted(recorder, api, clock):
    for _ in range(BURST + 5):
        await recorder.post(event())
    clock.now += REFILL
    await recorder.post(event())
    assert api.asked[-1][2]["count"] == BURST + 6


async def test_deleted_event_is_created_again(recorder, api):
    await recorder.post(event())
    api.failures = [NotFound("gone")]
    await recorder.post(event())
    assert [method for method, _, _ in api.asked] == ["POST", "PATCH", "POST"]


async def test_long_message_is_cut(recorder, api):
    await recorder.post(event(message="x" * 5000))
    assert len(api.asked[0][2]["message"]) == 1024


async def test_failed_post_is_ignored(recorder, api):
    api.failures = [Unavailable("no answer")]
    async with recorder:
        recorder.record(event())
        recorder.record(event(reason="Held"))
    assert [body["reason"] for _, _, body in api.asked] == ["AtRisk", "Held"]


async def test_waiting_events_are_posted_at_the_end(recorder, api):
    async with recorder:
        for number in range(3):
            recorder.record(event(reason=f"R{number}"))
    assert len(api.asked) == 3


async def test_recording_never_waits_and_the_queue_is_bounded(recorder, api, monkeypatch):
    monkeypatch.setattr("forestall.adapters.kubernetes.events.CLOSING", 0.01)
    api.gate.clear()
    async with recorder:
        for number in range(WAITING + 500):
            recorder.record(event(name=f"o{number}"))
        assert recorder._queue.qsize() <= WAITING
    assert api.asked == []
