"""What was read is kept until somebody forgets it, and never longer than it is true of what was written.

The kind: a change that rests on what was true before another change.
"""

from typing import Any, cast

import pytest

from forestall.api.remediation import ObjectRef
from forestall.errors import NotFound, Unavailable
from forestall.ports import Cluster, ScaleSubresource
from forestall.read_cache import ReadCache

WEB = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="web", uid="d-1")
HPA = ObjectRef(api_version="autoscaling/v2", kind="HorizontalPodAutoscaler", namespace="shop", name="web")


class Counting:
    """Answers each call with how many there were."""

    def __init__(self) -> None:
        self.calls = 0
        self.uid = "d-1"
        self.error: Exception | None = None

    async def read(self, ref: ObjectRef) -> dict[str, Any]:
        self._call()
        if ref.uid not in ("", self.uid):
            raise NotFound(ref.name)
        return {"metadata": {"uid": self.uid}, "call": self.calls}

    async def find(self, *_: str, **__: str) -> list[dict[str, Any]]:
        self._call()
        return [{"call": self.calls}]

    async def read_scale(self, _: ObjectRef) -> ScaleSubresource:
        self._call()
        return ScaleSubresource(self.calls, 0, "", "1", self.uid)

    def _call(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def cluster() -> Counting:
    return Counting()


@pytest.fixture
def cache(cluster: Counting) -> ReadCache:
    return ReadCache(cast("Cluster", cluster))


async def read_all(cache: ReadCache) -> list[int]:
    """Return the numbers of the calls that answered."""
    lists = [await cache.find("v1", "Pod", "shop"), await cache.find(HPA.api_version, HPA.kind, "shop")]
    bodies: list[Any] = [await cache.read(WEB), *(body for bodies in lists for body in bodies)]
    return [*(body["call"] for body in bodies), (await cache.read_scale(WEB)).spec_replicas]


async def test_everything_is_read_once_until_it_is_forgotten(cache, cluster):
    first = await read_all(cache)
    assert await read_all(cache) == first
    assert cluster.calls == 4
    cache.forget()
    assert set(await read_all(cache)).isdisjoint(first)


@pytest.mark.parametrize(("written", "kept"), [(WEB, ["autoscalers"]), (HPA, [])])
async def test_what_a_write_may_have_changed_is_read_anew(cache, written, kept):
    """A workload's pods and its scale follow from it; what points at it does not change by it, but by a write of it."""
    names = ("workload", "pods", "autoscalers", "scale")
    before = await read_all(cache)
    cache.forget_below(written)
    after = await read_all(cache)
    assert [name for name, old, new in zip(names, before, after, strict=True) if old == new] == kept


async def test_lists_are_told_apart_by_what_they_select(cache):
    pods = await cache.find("v1", "Pod", "shop", label_selector="app=a")
    other = await cache.find("v1", "Pod", "shop", label_selector="app=b")
    assert pods != other


async def test_an_object_of_another_uid_is_asked_for(cache, cluster):
    """It was deleted and made anew since it was read, or what was read is not what is meant."""
    await cache.read(WEB)
    cluster.uid = "d-2"
    with pytest.raises(NotFound):
        await cache.read(WEB.model_copy(update={"uid": "d-3"}))
    assert (await cache.read(WEB.model_copy(update={"uid": "d-2"})))["metadata"]["uid"] == "d-2"


async def test_failures_are_not_kept(cache, cluster):
    cluster.error = Unavailable("no answer")
    with pytest.raises(Unavailable):
        await cache.read(WEB)
    cluster.error = None
    assert await cache.read(WEB)


async def test_what_is_being_read_while_it_is_forgotten_is_not_kept(cache, cluster):
    async def slow(ref: ObjectRef) -> dict[str, Any]:
        answer = await Counting.read(cluster, ref)
        cache.forget()
        return answer

    cluster.read = slow
    first = await cache.read(WEB)
    del cluster.read
    assert await cache.read(WEB) != first
