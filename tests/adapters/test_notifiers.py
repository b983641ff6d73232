"""Notifications to a real HTTP server on loopback, with faults: deliveries, retries and errors."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from forestall.adapters.notifiers import Channels
from forestall.adapters.notifiers import post as posting
from forestall.api import API_VERSION
from forestall.errors import ClusterError, NotFound, NotSent
from forestall.ports import Notice
from forestall.registry import Registry

AT = 1_750_000_000.0
NOTICE = Notice(
    id="uid-1.ApprovalRequired",
    topic="ApprovalRequired",
    at=AT,
    title="Scale for shop/checkout waits for approval",
    reason="load is <forecast> to pass 100 & more",
    namespace="shop",
    objective="checkout",
    policy="early",
    remediation="early-scale-1",
    action="Scale",
    target="deployment shop/checkout",
    evidence={"indicator": "load", "limit": "100"},
    commands={"approve": "kubectl forestall approve -n shop early-scale-1"},
    message="the runbook is at <!channel>",
    until=AT + 900,
)
SECRET = "hook-5ecret"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def accept(_: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")


@dataclass
class Endpoint:
    """A server that records requests, and responds to each attempt with the next of a test's responses."""

    answers: list[Handler] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.got.append((request.path_qs, dict(request.headers), await request.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else (self.answers or [accept])[0]
        return await answer(request)  # type: ignore[arg-type]  # a handler asks for no route

    @property
    def body(self) -> Any:
        """What came last."""
        return json.loads(self.got[-1][2])


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    runner = web.ServerRunner(web.Server(endpoint, access_log=None), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield endpoint
    await runner.cleanup()


@dataclass
class Post:
    """Channels as admins write them, and the Secrets of the operator's namespace."""

    registry: Registry = field(default_factory=Registry)
    secrets: dict[tuple[str, str], str] = field(default_factory=dict)
    version: int = 0

    def put(self, kind: str, name: str, spec: Any, **metadata: Any) -> None:
        self.version += 1
        whole = {"name": name, "uid": f"{kind}/{name}", "resourceVersion": str(self.version), **metadata}
        self.registry.put(kind, {"apiVersion": API_VERSION, "kind": kind, "metadata": whole, "spec": spec})

    async def read_secret(self, name: str, key: str) -> str:
        if (name, key) not in self.secrets:
            raise NotFound(f"no key {key} in Secret {name}")
        return self.secrets[name, key]

    async def send(self, notice: Notice = NOTICE) -> None:
        await Channels(self.registry, self.read_secret).send("pager", notice)

    async def refused(self) -> NotSent:
        with pytest.raises(NotSent) as caught:
            await self.send()
        return caught.value


@pytest.fixture
def post(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Post:
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")  # whoever heeds it does not arrive
    post = Post()
    post.put("Namespace", "shop", {}, labels={"team": "shop"})
    post.put("NotificationChannel", "pager", {"type": "Webhook", "url": f"{endpoint.url}/hook?x=1"})
    return post


async def test_webhook_gets_all_fields(post, endpoint):
    await post.send()
    (path, headers, _) = endpoint.got[0]
    assert path == "/hook?x=1"
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == NOTICE.id
    assert endpoint.body["id"] == NOTICE.id
    assert endpoint.body["commands"] == {"approve": "kubectl forestall approve -n shop early-scale-1"}
    assert endpoint.body["evidence"] == {"indicator": "load", "limit": "100"}
    assert endpoint.body["until"] == "2025-06-15T15:21:40.000000Z"


async def test_text_for_slack_mentions_nobody(post, endpoint):
    post.secrets["slack", "url"] = f"{endpoint.url}/services/{SECRET}"
    post.put("NotificationChannel", "pager", {"type": "Slack", "urlFrom": {"name": "slack", "key": "url"}})
    await post.send()
    assert endpoint.got[0][0] == f"/services/{SECRET}"
    text = endpoint.body["text"]
    assert text.startswith(
        "*Scale for shop/checkout waits for approval*\nload is &lt;forecast&gt; to pass 100 &amp; more"
    )
    assert "<!channel>" not in text
    assert "`kubectl forestall approve -n shop early-scale-1`" in text


async def test_alertmanager_gets_an_alert_with_an_end(post, endpoint):
    post.put("NotificationChannel", "pager", {"type": "Alertmanager", "url": f"{endpoint.url}/am/"})
    await post.send()
    assert endpoint.got[0][0] == "/am/api/v2/alerts"
    (alert,) = endpoint.body
    assert alert["labels"]["alertname"] == "ForestallApprovalRequired"
    assert alert["labels"]["id"] == NOTICE.id
    assert alert["annotations"]["command_approve"] == "kubectl forestall approve -n shop early-scale-1"
    assert (alert["startsAt"], alert["endsAt"]) == ("2025-06-15T15:06:40.000000Z", "2025-06-15T15:21:40.000000Z")


async def test_cloud_events_conform_to_the_specification(post, endpoint):
    post.put("NotificationChannel", "pager", {"type": "CloudEvents", "url": endpoint.url})
    await post.send()
    assert endpoint.got[0][1]["Content-Type"] == "application/cloudevents+json; charset=UTF-8"
    event = endpoint.body
    assert {key: event[key] for key in ("specversion", "id", "type", "datacontenttype")} == {
        "specversion": "1.0",
        "id": NOTICE.id,
        "type": "dev.forestall.approvalrequired.v1",
        "datacontenttype": "application/json",
    }
    assert event["source"] == "/apis/forestall.dev/v1alpha1/namespaces/shop/servicelevelobjectives/checkout"
    assert event["time"] == "2025-06-15T15:06:40.000000Z"
    assert event["data"]["title"] == NOTICE.title


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"bearerToken": {"name": "s", "key": "token"}}, f"Bearer {SECRET}"),
        (
            {"basic": {"username": {"name": "s", "key": "user"}, "password": {"name": "s", "key": "token"}}},
            "Basic am86aG9vay01ZWNyZXQ=",
        ),
    ],
)
async def test_credentials_come_from_secrets(post, endpoint, auth, header):
    post.secrets |= {("s", "token"): SECRET, ("s", "user"): "jo"}
    spec = {"type": "Webhook", "url": endpoint.url, "auth": auth, "headers": {"X-Team": "a"}}
    post.put("NotificationChannel", "pager", spec)
    await post.send()
    assert endpoint.got[0][1]["Authorization"] == header
    assert endpoint.got[0][1]["X-Team"] == "a"


def status(code: int, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers=headers)

    return answer


async def slow(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(6)
    return web.Response()


async def broken(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1 << 20):
        await response.write(b"x" * 65536)
    return response


@pytest.mark.parametrize(
    "fault", [status(500), status(503), status(429), status(408), broken], ids=["500", "503", "429", "408", "broken"]
)
async def test_transient_failure_is_retried(post, endpoint, fault):
    endpoint.answers = [fault, accept]
    await post.send()
    assert len(endpoint.got) == 2
    assert endpoint.got[0][2] == endpoint.got[1][2], "the same id both times"


async def test_retry_after_is_respected(post, endpoint):
    endpoint.answers = [status(429, **{"Retry-After": "1"}), accept]
    began = time.monotonic()
    await post.send()
    assert time.monotonic() - began >= 1.0


async def test_wait_is_limited_by_the_budget(post, endpoint, monkeypatch):
    monkeypatch.setattr(posting, "BUDGET", 7.0)
    endpoint.answers = [status(429, **{"Retry-After": "86399"})]
    began = time.monotonic()
    error = await post.refused()
    assert (error.reason, str(error)) == ("ChannelRefused", "channel pager answered 429")
    assert time.monotonic() - began < 60  # it ends, on a busy machine as well
    assert len(endpoint.got) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
async def test_refusal_is_not_retried(post, endpoint, code):
    endpoint.answers = [status(code)]
    error = await post.refused()
    assert (error.reason, str(error)) == ("ChannelRefused", f"channel pager answered {code}")
    assert len(endpoint.got) == 1


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_redirects_are_not_followed(post, endpoint, code):
    endpoint.answers = [status(code, Location=f"{endpoint.url}/elsewhere"), accept]
    error = await post.refused()
    assert "redirects are not followed" in str(error)
    assert len(endpoint.got) == 1


async def test_missing_response_times_out(post, endpoint, monkeypatch):
    monkeypatch.setattr(posting, "ATTEMPTS", 2)
    post.put("NotificationChannel", "pager", {"type": "Webhook", "url": endpoint.url, "timeout": "200ms"})
    endpoint.answers = [slow]
    began = time.monotonic()
    error = await post.refused()
    assert error.reason == "ChannelTimeout"
    assert time.monotonic() - began < 60  # it ends, on a busy machine as well
    assert len(endpoint.got) == 2


async def test_endless_response_is_not_read(post, endpoint):
    endpoint.answers = [endless]
    await asyncio.wait_for(post.send(), 5)


async def test_unreachable_server(post, monkeypatch):
    monkeypatch.setattr(posting, "ATTEMPTS", 2)
    post.put("NotificationChannel", "pager", {"type": "Webhook", "url": "http://127.0.0.1:9"})
    assert (await post.refused()).reason == "ChannelDown"


async def test_server_without_tls(post, endpoint, monkeypatch):
    monkeypatch.setattr(posting, "ATTEMPTS", 1)
    post.put("NotificationChannel", "pager", {"type": "Webhook", "url": endpoint.url.replace("http:", "https:")})
    assert (await post.refused()).reason == "ChannelDown"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"urlFrom": {"name": "s", "key": "none"}}, "ChannelUnreadable"),
        ({"urlFrom": {"name": "s", "key": "text"}}, "ChannelRefused"),
        ({"urlFrom": {"name": "s", "key": "user"}}, "ChannelRefused"),
        ({"urlFrom": {"name": "s", "key": "file"}}, "ChannelRefused"),
        ({"url": "http://127.0.0.1:9", "tls": {"ca": {"name": "s", "key": "text"}}}, "ChannelRefused"),
        ({"url": "http://127.0.0.1:9", "auth": {"bearerToken": {"name": "s", "key": "lines"}}}, "ChannelRefused"),
        ({"url": "http://127.0.0.1:9", "namespaces": {"matchLabels": {"team": "other"}}}, "ChannelNotAllowed"),
    ],
)
async def test_invalid_configuration_is_reported_without_secrets(post, caplog, spec, reason):
    post.secrets |= {
        ("s", "text"): SECRET,
        ("s", "user"): f"http://jo:{SECRET}@127.0.0.1:9",
        ("s", "file"): f"file:///{SECRET}",
        ("s", "lines"): f"{SECRET}\r\nX-Evil: 1",
    }
    post.put("NotificationChannel", "pager", {"type": "Webhook", **spec})
    with caplog.at_level(logging.DEBUG):
        error = await post.refused()
    assert error.reason == reason
    assert SECRET not in str(error)
    assert SECRET not in caplog.text


async def test_unknown_channel_or_namespace(post):
    with pytest.raises(NotSent, match="'fax' does not exist"):
        await Channels(post.registry, post.read_secret).send("fax", NOTICE)
    post.put("NotificationChannel", "fax", {"type": "Fax"})
    with pytest.raises(NotSent, match="'fax' is invalid"):
        await Channels(post.registry, post.read_secret).send("fax", NOTICE)
    post.registry.remove("Namespace", "Namespace/shop")
    assert (await post.refused()).reason == "ChannelNotAllowed"


async def test_unavailable_api_server(post):
    async def fail(name: str, key: str) -> str:
        raise ClusterError(f"no answer about {name}")

    post.put("NotificationChannel", "pager", {"type": "Webhook", "urlFrom": {"name": "s", "key": "k"}})
    with pytest.raises(NotSent, match="a Secret of channel pager can't be read: no answer about s"):
        await Channels(post.registry, fail).send("pager", NOTICE)
