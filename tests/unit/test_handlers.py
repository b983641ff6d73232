"""Kopf's settings and the login; the watching itself is tested on a real API server."""

import asyncio
import itertools

import pytest

from forestall import handlers
from forestall.ports import RestConfig
from forestall.registry import Registry


class Provider:
    def __init__(self, *tokens: str | None) -> None:
        self.tokens = list(tokens)
        self.refused: list[str | None] = []

    def rest_config(self) -> RestConfig:
        return RestConfig("https://one.test", token=self.tokens[0])

    async def renew(self, refused: str | None) -> bool:
        self.refused.append(refused)
        if len(self.tokens) > 1:
            self.tokens.pop(0)
        return self.tokens[0] != refused


def test_never_gives_up_on_the_api_server():
    backoffs = handlers.settings().networking.error_backoffs
    for _ in range(2):  # for each request anew
        first = list(itertools.islice(backoffs, 1000))  # type: ignore[arg-type]
        assert first[0] == 1
        assert max(first) == 10


def test_writes_nothing():
    settings = handlers.settings()
    storage = settings.persistence.diffbase_storage
    assert not settings.posting.enabled
    assert storage.fetch(body=None) is None  # type: ignore[arg-type]
    assert storage.store(body=None, patch=None, essence=None) is None  # type: ignore[arg-type]


async def test_a_refused_token_is_waited_for(monkeypatch):
    access = Provider("one", "one", "one", "two")
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    log_in = handlers._LoginHandler(access, asyncio.get_running_loop()).log_in
    first = await log_in()
    monkeypatch.setattr(asyncio, "sleep", nap)
    second = await log_in()
    assert (first.token, first.scheme, second.token) == ("one", "Bearer", "two")
    assert access.refused == ["one", "one", "one"]
    assert naps == [1, 1]


async def test_a_token_that_stays_the_same_is_tried_again_as_new(monkeypatch):
    monkeypatch.setattr(handlers, "WAIT_FOR_TOKEN", 0.01)
    log_in = handlers._LoginHandler(Provider("one"), asyncio.get_running_loop()).log_in
    first, second = await log_in(), await log_in()
    assert second.token == "one"
    assert second != first  # Kopf never takes the same credentials twice


async def test_a_client_certificate_needs_no_token():
    info = await handlers._LoginHandler(Provider(None), asyncio.get_running_loop()).log_in()
    assert (info.scheme, info.token) == (None, None)


async def test_one_handler_a_kind():
    registry = handlers.handlers(Registry(), Provider("t"), asyncio.get_running_loop())
    assert {
        (selector.group, selector.version, selector.any_name) for selector in registry._watching.get_all_selectors()
    } == {
        ("forestall.dev", "v1alpha1", "servicelevelobjectives"),
        ("forestall.dev", "v1alpha1", "remediationpolicies"),
        ("forestall.dev", "v1alpha1", "remediations"),
        ("forestall.dev", "v1alpha1", "metricsources"),
        ("forestall.dev", "v1alpha1", "guardrails"),
        ("forestall.dev", "v1alpha1", "pauses"),
        ("forestall.dev", "v1alpha1", "notificationchannels"),
        (None, None, "namespaces"),
    }


@pytest.mark.parametrize("kind", ["changing", "spawning", "indexing", "webhooks"])
async def test_no_other_handlers(kind):
    registry = handlers.handlers(Registry(), Provider("t"), asyncio.get_running_loop())
    assert not list(getattr(registry, f"_{kind}").get_all_handlers())
