"""How the API server's responses are processed over real HTTP: successes, errors and timeouts."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from forestall.adapters.kubernetes import Access, Api
from forestall.adapters.kubernetes import api as api_module
from forestall.adapters.kubernetes.api import MERGE_PATCH, Expired, UnknownPath
from forestall.errors import ClusterError, Conflict, Denied, Forbidden, NotFound, Throttled, Unavailable, Unreadable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """An API server that does what a test tells it to."""

    def __init__(self) -> None:
        self.handler: Handler = self.ok
        self.seen: list[web.Request] = []
        self.over = asyncio.Event()

    async def hang(self, _: web.Request) -> web.StreamResponse:
        await self.over.wait()
        return web.Response()

    async def ok(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Ok"})

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.seen.append(request)
        return await self.handler(request)

    def answers(self, status: int, body: Any = None, text: str | None = None) -> None:
        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=json.dumps(body) if text is None else text)

        self.handler = handler


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def access(server: Server) -> AsyncIterator[Access]:
    runner = web.ServerRunner(web.Server(server), shutdown_timeout=0)  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    configuration = Configuration(host=f"http://127.0.0.1:{port}", api_key={"BearerToken": "Bearer one"})
    yield Access(configuration, "default", "/nowhere", None)
    server.over.set()
    await runner.cleanup()


@pytest.fixture
async def api(access: Access, no_system_certificates: None) -> AsyncIterator[Api]:
    async with Api(access) as api:
        yield api


def status(reason: str, message: str = "the server's words", **details: str) -> dict[str, Any]:
    return {"kind": "Status", "reason": reason, "message": message, "details": details}


async def test_request_is_sent(api, server):
    answer = await api.request(
        "PATCH", "/apis/x/v1/y", query={"force": "true"}, body={"a": 1}, content_type=MERGE_PATCH
    )
    request = server.seen[0]
    assert answer == {"kind": "Ok"}
    assert (request.method, request.path_qs) == ("PATCH", "/apis/x/v1/y?force=true")
    assert request.headers["Authorization"] == "Bearer one"
    assert request.headers["Content-Type"] == MERGE_PATCH
    assert request.headers["User-Agent"].startswith("forestall/")


@pytest.mark.parametrize(
    ("code", "body", "error"),
    [
        (401, status("Unauthorized"), Forbidden),
        (403, status("Forbidden"), Forbidden),
        (404, status("NotFound", name="web", kind="deployments"), NotFound),
        (404, status("NotFound"), UnknownPath),
        (409, status("Conflict"), Conflict),
        (409, status("AlreadyExists"), Conflict),
        (410, status("Expired"), Expired),
        (422, status("Invalid"), ClusterError),
        (400, status("BadRequest"), ClusterError),
        (429, status("TooManyRequests"), Throttled),
        (500, status("InternalError"), Unavailable),
        (503, status("ServiceUnavailable"), Unavailable),
        (504, status("Timeout"), Unavailable),
        (302, status(""), ClusterError),
    ],
)
async def test_refusals_are_translated(api, server, code, body, error):
    server.answers(code, body)
    with pytest.raises(ClusterError) as raised:
        await api.request("GET", "/x")
    assert type(raised.value) is error
    assert "GET /x: " in str(raised.value)


async def test_error_has_the_message_of_the_server(api, server):
    server.answers(403, status("Forbidden", 'User "u" cannot patch resource "deployments/scale" in API group "apps"'))
    with pytest.raises(Forbidden, match='cannot patch resource "deployments/scale"'):
        await api.request("PATCH", "/x", body={})


USER = 'User "system:serviceaccount:forestall-system:forestall" cannot'
RBAC = f'deployments.apps "web" is forbidden: {USER} patch resource "deployments" in API group "apps"'
POLICY = "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'freeze' with binding 'all' denied request: "
WEBHOOK = 'admission webhook "validate.example.com" denied the request: '
QUOTA = 'jobs.batch "web" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: 1, limited: 1'
BUDGET = {"kind": "poddisruptionbudgets", "name": "web"}


@pytest.mark.parametrize(
    ("code", "message", "details", "error"),
    [
        (403, RBAC, {}, Forbidden),
        (403, f'{USER} patch path "/x"', {}, Forbidden),
        (403, f'{RBAC}: requires one of ["apps.deployments.update"] permission(s).', {}, Forbidden),
        (403, f"{POLICY}no change on a Friday", {}, Denied),
        (403, f'{POLICY}User "x" cannot patch resource "deployments"', {}, Denied),
        (401, f"{POLICY}reason Unauthorized", {}, Denied),
        (413, f"{POLICY}reason RequestEntityTooLarge", {}, Denied),
        (422, f"{POLICY}reason Invalid", {}, Denied),
        (403, f'{WEBHOOK}User "x" cannot patch resource "deployments"', {}, Denied),
        *((code, f"{WEBHOOK}no", {}, Denied) for code in (400, 401, 403, 404, 409, 410, 422, 429, 500, 503)),
        (403, QUOTA, {}, Denied),
        (403, 'pods "web" is forbidden: violates PodSecurity "restricted:latest": privileged', {}, Denied),
        (403, "a gateway says no", {}, Denied),
        (
            400,
            'Remediation in version "v1" cannot be handled: strict decoding error: unknown field "status.x"',
            {},
            Denied,
        ),
        (
            500,
            "failed to create typed patch object (shop/web; v1, Kind=X): .status.x: field not declared in schema",
            {},
            Denied,
        ),
        (403, 'pods "web" is forbidden: not yet ready to handle request', {}, Unavailable),
        (403, 'poddisruptionbudgets.policy "web" is forbidden: DisruptedPods map too big', BUDGET, Throttled),
        (500, "This pod has more than one PodDisruptionBudget, which is not supported.", {}, Throttled),
        (500, 'Internal error occurred: failed calling webhook "x": context deadline exceeded', {}, Unavailable),
    ],
)
async def test_error_says_who_refused(api, server, code, message, details, error):
    """Kind: who refused. The refusing party chooses the status code; only a missing permission can be granted."""
    server.answers(code, status("Any", message, **details))
    with pytest.raises(ClusterError) as raised:
        await api.request("POST", "/x", body={})
    assert type(raised.value) is error
    assert message in str(raised.value)


async def test_forbidden_read_is_a_missing_permission_whatever_the_message(api, server):
    server.answers(403, status("Forbidden", "a gateway says no"))
    with pytest.raises(Forbidden) as raised:
        await api.request("GET", "/x")
    assert type(raised.value) is Forbidden


@pytest.mark.parametrize("answered", [True, False])
async def test_error_says_whether_the_server_responded(api, server, answered):
    server.answers(500, status("InternalError"))
    if not answered:
        server.handler = server.hang
    with pytest.raises(Unavailable) as raised:
        await api.request("POST", "/x", body={}, timeout=0.1 if not answered else 4)
    assert raised.value.answered is answered


async def test_terminating_namespace_is_no_missing_permission(api, server):
    causes = [{"reason": "NamespaceTerminating", "message": "namespace shop is being terminated"}]
    server.answers(403, {"kind": "Status", "reason": "Forbidden", "details": {"causes": causes}})
    with pytest.raises(NotFound):
        await api.request("POST", "/x/eviction", body={})


async def test_error_names_the_disruption_budget(api, server):
    causes = [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 3 healthy pods and has 3"}]
    body = {"kind": "Status", "message": "Cannot evict pod", "details": {"causes": causes}}
    server.answers(429, body)
    with pytest.raises(Throttled, match="Cannot evict pod; The disruption budget web needs 3 healthy pods"):
        await api.request("POST", "/x/eviction", body={})


@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (200, "<html>", Unavailable),
        (200, "", Unavailable),
        (200, "[1]", Unavailable),
        (200, "null", Unavailable),
        (404, "404 page not found", UnknownPath),
        (502, "<html>bad gateway</html>", Unavailable),
        (418, "[]", ClusterError),
        (404, '{"details": 7}', UnknownPath),
    ],
)
async def test_error_responses_without_status_object(api, server, code, text, error):
    server.answers(code, text=text)
    with pytest.raises(ClusterError) as raised:
        await api.request("GET", "/x")
    assert type(raised.value) is error


async def test_too_deeply_nested_response_is_an_error(api, server):
    """Kind: an object whose content users control, here a custom resource without a schema."""
    server.answers(200, text='{"a":' * 5000 + "1" + "}" * 5000)
    with pytest.raises(Unreadable, match="nested too deeply"):
        await api.request("GET", "/apis/example.com/v1/namespaces/shop/odds/web")


async def test_missing_response_times_out(api, server):
    server.handler = server.hang
    with pytest.raises(Unavailable, match=r"no answer within 0\.1 s"):
        await api.request("GET", "/x", timeout=0.1)


async def test_stalled_body_times_out(api, server):
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        await server.over.wait()
        return response

    server.handler = drip
    with pytest.raises(Unavailable, match=r"no answer within 0\.1 s"):
        await api.request("GET", "/x", timeout=0.1)


async def test_request_timeout_fits_the_lease(api, server, monkeypatch):
    monkeypatch.setattr(api_module, "TIMEOUT", 0.1)
    server.handler = server.hang
    with pytest.raises(Unavailable, match=r"no answer within 0\.1 s"):
        await api.request("GET", "/x", timeout=1000)


async def test_broken_connection_is_unavailable(api, server):
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.handler = cut
    with pytest.raises(Unavailable):
        await api.request("POST", "/x", body={})
    assert len(server.seen) == 1  # a write is never repeated


async def test_missing_server_is_unavailable(unused_port):
    access = Access(Configuration(host=f"http://127.0.0.1:{unused_port}"), "default", "", None)
    async with Api(access) as api:
        with pytest.raises(Unavailable, match="GET /x"):
            await api.request("GET", "/x")


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_refused_token_is_reloaded(api, server, access, monkeypatch):
    async def only_two(request: web.Request) -> web.StreamResponse:
        accepted = request.headers["Authorization"] == "Bearer two"
        return web.json_response({"kind": "Ok"}, status=200 if accepted else 401)

    async def renew(refused: str) -> bool:
        assert refused == "one"
        access.configuration.api_key = {"BearerToken": "Bearer two"}
        return True

    server.handler = only_two
    monkeypatch.setattr(access, "renew", renew)
    assert await api.request("PATCH", "/x", body={}) == {"kind": "Ok"}
    assert [request.headers["Authorization"] for request in server.seen] == ["Bearer one", "Bearer two"]


async def test_token_refused_twice_is_an_error(api, server, access, monkeypatch):
    async def renew(_: str) -> bool:
        return True

    server.answers(401, status("Unauthorized"))
    monkeypatch.setattr(access, "renew", renew)
    with pytest.raises(Forbidden, match="does not accept these credentials"):
        await api.request("GET", "/x")
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("headers", "ahead"),
    [
        ({"Date": "Fri, 01 Jan 2027 00:00:00 GMT"}, 1_798_761_600.0),
        ({"Date": "yesterday"}, None),
        ({"Date": ""}, None),
        ({"Date": "Fri, 01 Jan 2027 00:00:00 GMT", "Age": "60"}, None),
    ],
)
async def test_clock_of_the_api_server_is_read(server, access, headers, ahead):
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Ok"}, headers=headers)

    server.handler = handler
    async with Api(access) as api:
        sent = time.monotonic()
        await api.request("GET", "/x")
        clock = api.clock
    assert (clock is None) == (ahead is None)
    if clock is not None:
        assert ahead - time.monotonic() <= clock.low < clock.high <= ahead + 1 - sent


async def test_agreeing_clock_has_no_offset(server, access):
    async with Api(access) as api:
        await api.request("GET", "/x")
        assert api.clock is not None
        assert api.clock.relative_to(time.time() - time.monotonic()).skew == 0.0
