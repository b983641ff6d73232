"""HTTP endpoints that admins name in their objects: metric sources and notification channels."""

from forestall.adapters.http.endpoint import BearerToken, Credentials, Endpoint, TlsSettings, UsernamePassword
from forestall.adapters.http.reader import EndpointReader, EndpointSpec, ReadSecret, without_secrets
from forestall.adapters.http.sessions import EndpointSession, aiohttp_session

__all__ = [
    "BearerToken",
    "Credentials",
    "Endpoint",
    "EndpointReader",
    "EndpointSession",
    "EndpointSpec",
    "ReadSecret",
    "TlsSettings",
    "UsernamePassword",
    "aiohttp_session",
    "without_secrets",
]
