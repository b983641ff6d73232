"""The description of an HTTP endpoint.

The kind: metric sources and notification channels read and check the same things in two places, and differ.
"""

import ssl
from dataclasses import dataclass, field

import pytest
import requests

from forestall.adapters.http import (
    BearerToken,
    Endpoint,
    EndpointReader,
    EndpointSession,
    TlsSettings,
    UsernamePassword,
    aiohttp_session,
    without_secrets,
)
from forestall.adapters.prometheus import NamespaceQuota, SourceConfig
from forestall.api import MetricSource, NotificationChannel
from forestall.errors import InvalidEndpoint, NotFound

SECRET = "5ecret"
URL = "https://metrics.test:9090/prefix/"


@dataclass
class Secrets:
    """The Secrets of the operator's namespace."""

    texts: dict[tuple[str, str], str] = field(default_factory=dict)

    async def read(self, name: str, key: str) -> str:
        if (name, key) not in self.texts:
            raise NotFound(f"no key {key} in Secret {name}")
        return self.texts[name, key]


def test_secrets_are_not_shown():
    endpoint = Endpoint(
        f"https://hooks.test/{SECRET}", {"a": SECRET}, UsernamePassword(SECRET, SECRET), TlsSettings(SECRET)
    )
    bearer = Endpoint(URL, credentials=BearerToken(SECRET))
    assert SECRET not in repr([endpoint, bearer, SourceConfig(endpoint, NamespaceQuota())])


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        (Endpoint("http://[5ecret"), "its url is not a URL"),
        (Endpoint("http://5ecret:99999"), "its url is not a URL"),
        (Endpoint("http://h/5ecret 5ecret"), "its url is not a URL"),
        (Endpoint("http://h/5ecret\x00"), "its url is not a URL"),
        (Endpoint("http://h/5ec\nret"), "its url is not a URL"),
        (Endpoint(""), "its url must begin with http:// or https://"),
        (Endpoint("5ecret"), "its url must begin with http:// or https://"),
        (Endpoint("file:///5ecret"), "its url must begin with http:// or https://"),
        (Endpoint("http:///5ecret"), "its url must begin with http:// or https://"),
        (Endpoint("http://jo:5ecret@h"), "hold no credentials"),
        (Endpoint("http://5ecret@h"), "hold no credentials"),
        (Endpoint(URL, credentials=BearerToken("5ecret\r\nX-Evil: 1")), "its bearer token"),
        (Endpoint(URL, credentials=BearerToken("5ecret\u20ac")), "its bearer token"),
        (Endpoint(URL, credentials=BearerToken(" \n")), "its bearer token"),
        (Endpoint(URL, credentials=UsernamePassword("5ecret:x", "p")), "its user name or password"),
        (Endpoint(URL, credentials=UsernamePassword("jo", "5ecret\nx")), "its user name or password"),
        (Endpoint(URL, {"5ecret\n": "x"}), "its headers"),
        (Endpoint(URL, {"5ecret 5ecret": "x"}), "its headers"),
        (Endpoint(URL, {"": "5ecret"}), "its headers"),
        (Endpoint(URL, {"a": "5ecret\r\nb"}), "its headers"),
        (Endpoint(URL, {"a": "5ecret\u20ac"}), "its headers"),
        (Endpoint(URL, tls=TlsSettings(SECRET)), "its certificate authority is not PEM"),
    ],
)
def test_invalid_values_are_reported_without_secrets(endpoint, words):
    with pytest.raises(InvalidEndpoint, match=words) as caught:
        EndpointSession(endpoint, 1)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None, "the words of what it began with may hold a secret"


async def test_both_clients_send_the_same_and_ignore_the_environment():
    endpoint = Endpoint(URL, {"x-team": " a ", "user-agent": "mine"}, BearerToken(f"{SECRET}\n"))
    expected = {"x-team": "a", "user-agent": "mine", "authorization": f"Bearer {SECRET}", "accept-encoding": "identity"}
    with EndpointSession(endpoint, 1) as blocking:
        headers = {name.lower(): value for name, value in blocking.headers.items()}
        assert headers.items() >= expected.items()
        assert blocking.trust_env is False
    async with aiohttp_session(endpoint) as session:
        assert {name.lower(): value for name, value in session.headers.items()} == expected
        assert session.trust_env is False
        assert session.timeout.total == endpoint.timeout


def test_credentials_are_in_one_header():
    endpoint = Endpoint(URL, {"authorization": "other"}, UsernamePassword("jo", "pa\u00dfwort\n"))
    named = {name: value for name, value in endpoint.request_headers().items() if name.lower() == "authorization"}
    assert named == {"Authorization": "Basic am86cGHDn3dvcnQ="}, "in UTF-8, without the line break of a file"
    assert Endpoint(URL, {"authorization": "other"}).request_headers()["authorization"] == "other"


def test_path_is_appended_to_that_of_the_url():
    endpoint = Endpoint(" https://h/a/?x=1#y\n")
    assert endpoint.address() == "https://h/a/?x=1"
    assert endpoint.address_of("/api/v2/alerts") == "https://h/a/api/v2/alerts"
    assert Endpoint("http://h/").address_of("") == "http://h"


def test_tls_version_is_at_least_1_2(monkeypatch):
    old = ssl.create_default_context()
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    monkeypatch.setattr(ssl, "create_default_context", lambda cadata: old)
    context = TlsSettings().context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_mounted_adapters_and_request_options_change_no_connection(monkeypatch):
    session = EndpointSession(Endpoint(URL), 1)
    session.mount(URL, requests.adapters.HTTPAdapter(max_retries=3))
    adapter = session.get_adapter(f"{URL}api/v1/query")
    assert adapter.max_retries.total == 0
    sent = {}

    def send(request, **arguments):
        sent.update(arguments)
        response = requests.Response()
        response.status_code, response.headers["Location"] = 302, "http://[elsewhere"
        return response

    monkeypatch.setattr(adapter, "send", send)
    answer = session.request("GET", f"{URL}api/v1/query", timeout=5, allow_redirects=True)
    assert answer.status_code == 302, "no redirect is followed"
    assert (sent["timeout"], sent["stream"]) == ((3.0, 5), True)


def test_credentials_in_a_url():
    endpoint = Endpoint.of_url("http://jo%40x:p%3Aw@[::1]:9090/p?q=1")
    assert endpoint == Endpoint("http://[::1]:9090/p?q=1", credentials=UsernamePassword("jo@x", "p:w"))
    assert Endpoint.of_url("http://h") == Endpoint("http://h")
    assert Endpoint.of_url("http://[").url == "http://[", "which says so when it is used"


AUTHS = [
    ({}, None),
    ({"bearerToken": {"name": "s", "key": "token"}}, BearerToken("t")),
    (
        {"basic": {"username": {"name": "s", "key": "user"}, "password": {"name": "s", "key": "password"}}},
        UsernamePassword("jo", "p"),
    ),
]


@pytest.mark.parametrize(("auth", "credentials"), AUTHS)
async def test_secrets_are_read_alike_for_both_kinds(auth, credentials):
    texts = {"token": "t", "user": "jo", "password": "p", "ca": "PEM", "url": "http://hook"}
    reader = EndpointReader(Secrets({("s", key): text for key, text in texts.items()}).read)
    common = {"auth": auth, "tls": {"ca": {"name": "s", "key": "ca"}}, "headers": {"X-Team": "a"}, "timeout": "2s"}
    metadata = {"name": "x", "uid": "x"}
    source = MetricSource.read({"metadata": metadata, "spec": {"url": "http://hook", **common}})
    url_from = {"name": "s", "key": "url"}
    channel = NotificationChannel.read({"metadata": metadata, "spec": {"type": "Slack", "urlFrom": url_from, **common}})
    assert channel.spec.url_from is not None
    endpoint = await reader.read(source.spec.url, source.spec)
    assert endpoint == Endpoint("http://hook", {"X-Team": "a"}, credentials, TlsSettings("PEM"), 2.0)
    assert await reader.read(channel.spec.url_from, channel.spec) == endpoint
    plain = without_secrets(source.spec.url, source.spec)
    assert plain == Endpoint("http://hook", {"X-Team": "a"}, timeout=2.0)


async def test_missing_secret_is_reported():
    spec = MetricSource.read(
        {
            "metadata": {"name": "x", "uid": "x"},
            "spec": {"url": "http://h", "auth": {"bearerToken": {"name": "s", "key": "none"}}},
        }
    ).spec
    with pytest.raises(NotFound, match="no key none in Secret s"):
        await EndpointReader(Secrets().read).read(spec.url, spec)
