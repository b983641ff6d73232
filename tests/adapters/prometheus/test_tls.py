"""Sources by HTTPS.

The certificate in `server.pem`, for 127.0.0.1, is issued by the authority in `authority.pem`; both are only for these
tests and are valid until 2125 at least.
"""

import ssl
from pathlib import Path

import pytest

from forestall.adapters.http import Endpoint, TlsSettings
from forestall.adapters.prometheus import SourceConfig
from forestall.ports import Query, QueryFailure

HERE = Path(__file__).parent
AUTHORITY = (HERE / "authority.pem").read_text()


@pytest.fixture
def url(faulty):
    """The faulty server's URL, by HTTPS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(HERE / "server.pem")
    faulty.socket = context.wrap_socket(faulty.socket, server_side=True)
    return faulty.url.replace("http:", "https:")


async def ask(metrics, config):
    """Return the answer of one query."""
    metrics.set_sources({"tls": config})
    return (await metrics.instant("tls", [Query("q", "x")], 1_790_000_000))["q"]


async def test_certificate_of_the_given_authority_is_trusted(metrics, url):
    answer = await ask(metrics, SourceConfig(Endpoint(url, tls=TlsSettings(AUTHORITY))))
    assert [sample.value for sample in answer.samples] == [1.0]


async def test_a_certificate_of_another_authority_is_not_trusted(metrics, url, faulty, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(HERE / "authority.pem"))  # the environment has no say
    answer = await ask(metrics, SourceConfig(Endpoint(url)))
    assert answer == QueryFailure("SourceDown", "no TLS connection to the source: CERTIFICATE_VERIFY_FAILED")
    assert faulty.requests == []


async def test_a_certificate_for_another_name_is_not_trusted(metrics, url):
    answer = await ask(
        metrics, SourceConfig(Endpoint(url.replace("127.0.0.1", "localhost"), tls=TlsSettings(AUTHORITY)))
    )
    assert "CERTIFICATE_VERIFY_FAILED" in answer.message


async def test_certificate_is_not_checked_with_insecure_skip_verify(metrics, url):
    answer = await ask(metrics, SourceConfig(Endpoint(url, tls=TlsSettings(insecure_skip_verify=True))))
    assert [sample.value for sample in answer.samples] == [1.0]


async def test_source_without_tls(metrics, faulty):
    answer = await ask(
        metrics, SourceConfig(Endpoint(faulty.url.replace("http:", "https:"), tls=TlsSettings(AUTHORITY), timeout=1))
    )
    assert answer.reason in {"SourceDown", "SourceTimeout"}
