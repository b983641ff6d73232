"""What the pruner takes out, and when it calls the registry complete."""

from collections.abc import Callable

import pytest
import structlog

from forestall.errors import Forbidden, NotFound, Unavailable
from forestall.pruner import INTERVAL, UNSYNCED_INTERVAL, Pruner
from forestall.registry import WATCHED, Registry

KIND = WATCHED[0].KIND


class Stop(Exception):
    """Ends the loop of a test."""


class Lister:
    def __init__(self) -> None:
        self.uids_by_kind: dict[str, set[str]] = {model.KIND: set() for model in WATCHED}
        self.problem: dict[str, Exception] = {}
        self.while_listing: Callable[[], None] = lambda: None

    async def uids(self, api_version: str, kind: str) -> frozenset[str]:
        assert api_version == ("v1" if kind == "Namespace" else "forestall.dev/v1alpha1")
        if kind in self.problem:
            raise self.problem[kind]
        listed = frozenset(self.uids_by_kind[kind])
        if kind == KIND:
            self.while_listing()
        return listed


class Sleep:
    """Lets so many rounds pass, doing something between them."""

    def __init__(self, *between: Callable[[], None]) -> None:
        self._between = list(between)
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self._between:
            raise Stop
        self._between.pop(0)()


def put(registry: Registry, name: str) -> None:
    metadata = {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1"}
    registry.put(KIND, {"metadata": metadata, "spec": {}})  # invalid ones count as well


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def lister() -> Lister:
    return Lister()


async def run(registry: Registry, lister: Lister, *between: Callable[[], None]) -> Sleep:
    sleep = Sleep(*between)
    with pytest.raises(Stop):
        await Pruner(registry, lister, sleep).run()
    return sleep


async def test_an_empty_cluster_is_read_at_once(registry, lister):
    sleep = await run(registry, lister)
    assert registry.synced
    assert sleep.slept == [INTERVAL]


async def test_the_registry_is_complete_when_it_has_all_that_was_listed(registry, lister):
    lister.uids_by_kind[KIND] = {"a", "b"}
    pruned_with: list[tuple[str, ...]] = []

    def one_more(name: str) -> Callable[[], None]:
        def put_it() -> None:
            pruned_with.append(registry.unsynced)
            put(registry, name)

        return put_it

    sleep = await run(registry, lister, one_more("a"), one_more("b"))
    assert pruned_with == [(KIND,), (KIND,)]
    assert registry.synced
    assert sleep.slept == [UNSYNCED_INTERVAL, UNSYNCED_INTERVAL, INTERVAL]


async def test_what_is_gone_is_taken_out(registry, lister):
    put(registry, "a")
    put(registry, "b")
    lister.uids_by_kind[KIND] = {"a"}
    await run(registry, lister)
    assert registry.uids(KIND) == {"a"}


async def test_what_is_made_while_the_list_is_read_stays(registry, lister):
    lister.while_listing = lambda: put(registry, "new")
    await run(registry, lister)
    assert registry.uids(KIND) == {"new"}


@pytest.mark.parametrize("problem", [Unavailable("no answer"), Forbidden("may not list"), NotFound("no such kind")])
async def test_a_list_that_can_not_be_read_takes_nothing_out(registry, lister, problem):
    put(registry, "a")
    lister.problem[KIND] = problem
    await run(registry, lister)
    assert registry.uids(KIND) == {"a"}
    assert registry.unsynced == (KIND,)


async def test_waits_for_the_kinds(registry, lister):
    lister.problem = {KIND: NotFound("no such kind"), WATCHED[1].KIND: Unavailable("no answer")}
    beats: list[None] = []
    sleep = Sleep(lambda: lister.problem.pop(KIND), lister.problem.clear)
    await Pruner(registry, lister, sleep).wait_for_kinds(lambda: beats.append(None))
    assert len(sleep.slept) == 2
    assert len(beats) == 2


async def test_what_is_not_known_to_be_missing_is_not_called_missing(registry, lister):
    """The kind: no answer is taken for the answer no. Whoever reads it applies definitions that are there."""
    lister.problem = dict.fromkeys(lister.uids_by_kind, Unavailable("no answer")) | {KIND: NotFound("no such kind")}
    with structlog.testing.capture_logs() as logs:
        await Pruner(registry, lister, Sleep(lister.problem.clear)).wait_for_kinds()
    assert [log["kinds"] for log in logs if log["log_level"] == "error"] == [[KIND]]


async def test_an_api_server_that_does_not_answer_lacks_nothing(registry, lister):
    lister.problem = dict.fromkeys(lister.uids_by_kind, Unavailable("no answer"))
    with structlog.testing.capture_logs() as logs:
        await Pruner(registry, lister, Sleep(lister.problem.clear)).wait_for_kinds()
    assert {log["event"] for log in logs} == {"objects not listed"}
