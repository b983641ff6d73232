"""Turns the spec of an object into the endpoint that it describes, and reads the Secrets that it names."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from forestall.adapters.http.endpoint import BearerToken, Credentials, Endpoint, TlsSettings, UsernamePassword
from forestall.api.endpoint import Auth, SecretKeyRef, Tls
from forestall.api.meta import Duration

ReadSecret = Callable[[str, str], Awaitable[str]]
"""Returns the text under a key of a Secret in the operator's own namespace; raises ClusterError."""


class EndpointSpec(Protocol):
    """What the specs of objects with an endpoint have in common."""

    @property
    def auth(self) -> Auth: ...
    @property
    def tls(self) -> Tls: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def timeout(self) -> Duration: ...


class EndpointReader:
    """Reads endpoints with their Secrets."""

    def __init__(self, read_secret: ReadSecret) -> None:
        self._read_secret = read_secret

    async def read(self, url: str | SecretKeyRef, spec: EndpointSpec) -> Endpoint:
        """Return the endpoint at `url`, or at the URL that a Secret holds.

        Raises:
            ClusterError: a Secret can't be read.
        """
        return Endpoint(
            url=url if isinstance(url, str) else await self._text(url),
            headers=spec.headers,
            credentials=await self._credentials(spec.auth),
            tls=TlsSettings(
                None if spec.tls.ca is None else await self._text(spec.tls.ca), spec.tls.insecure_skip_verify
            ),
            timeout=spec.timeout.seconds,
        )

    async def _credentials(self, auth: Auth) -> Credentials | None:
        if auth.basic is not None:
            return UsernamePassword(await self._text(auth.basic.username), await self._text(auth.basic.password))
        return None if auth.bearer_token is None else BearerToken(await self._text(auth.bearer_token))

    async def _text(self, ref: SecretKeyRef) -> str:
        return await self._read_secret(ref.name, ref.key)


def without_secrets(url: str, spec: EndpointSpec) -> Endpoint:
    """Return the endpoint at `url` without what Secrets hold: no credentials, and the system's authorities."""
    return Endpoint(
        url=url,
        headers=spec.headers,
        tls=TlsSettings(insecure_skip_verify=spec.tls.insecure_skip_verify),
        timeout=spec.timeout.seconds,
    )
