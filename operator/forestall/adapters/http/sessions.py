"""Makes sessions of the two HTTP clients, whose requests depend on the endpoint alone.

No proxy, netrc or certificate bundle is taken from the environment. The Prometheus client uses `requests`, and the
Kubernetes client uses aiohttp.
"""

import ssl
import warnings
from typing import Any, Final

import aiohttp
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InsecureRequestWarning

from forestall.adapters.http.endpoint import Endpoint
from forestall.adapters.http.resolver import Resolver

CONNECT_S: Final = 3.0
"""How long (s) a blocking request may take to connect."""


class EndpointSession(requests.Session):
    """A session for blocking requests to one endpoint, from up to `threads` threads at once. Follows no redirect.

    Adapters mounted on it, as the Prometheus client does, are ignored.
    """

    def __init__(self, endpoint: Endpoint, threads: int) -> None:
        """Raises InvalidEndpoint when the endpoint can't be used."""
        super().__init__()
        self.trust_env = False
        self.base = endpoint.address_of("")
        """The URL without a trailing slash."""
        self.verify = not endpoint.tls.insecure_skip_verify
        self.headers.update(endpoint.request_headers())
        self._adapter = _ContextAdapter(endpoint.tls.context(), threads)
        if endpoint.tls.insecure_skip_verify:
            warnings.simplefilter("ignore", InsecureRequestWarning)  # the endpoint's author asked for it

    def get_adapter(self, url: str | bytes) -> HTTPAdapter:  # noqa: ARG002 -- as its base has it
        """Return the endpoint's adapter for every URL."""
        return self._adapter

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: redirects are never followed."""

    def send(self, request: requests.PreparedRequest, **arguments: Any) -> requests.Response:
        """Return the response, whose body is not read yet; `timeout` (s) applies to connecting, and to each read."""
        timeout = arguments.pop("timeout")
        return super().send(request, **{**arguments, "stream": True, "timeout": (min(CONNECT_S, timeout), timeout)})

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._adapter.close()


class _ContextAdapter(HTTPAdapter):
    """Trusts only the certificate authorities of the TLS context, without those bundled with `requests`."""

    def __init__(self, context: ssl.SSLContext, threads: int) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=threads, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002 -- as its base has it
        conn.cert_reqs = "CERT_REQUIRED" if verify else "CERT_NONE"


def aiohttp_session(endpoint: Endpoint) -> aiohttp.ClientSession:
    """Return a session for a few requests to `endpoint`, without cookies; each request decides about redirects.

    Raises:
        InvalidEndpoint: the endpoint can't be used.
    """
    headers, context = endpoint.request_headers(), endpoint.tls.context()
    return aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(ssl=context, resolver=Resolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=endpoint.timeout),
        auto_decompress=False,
        trust_env=False,
    )
