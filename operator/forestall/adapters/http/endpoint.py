"""An HTTP endpoint: its URL, headers, credentials and TLS settings, with their validation.

No secret appears in a `repr` or in an error message. Values are validated when they are used: an object that was
admitted by an older schema, or a Secret, may contain anything.
"""

import base64
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from forestall import __version__
from forestall.errors import InvalidEndpoint

LEAST_TLS: Final = ssl.TLSVersion.TLSv1_2
_AUTHORIZATION: Final = "Authorization"
# Compression would cost both sides more than the network gains.
_DEFAULTS: Final = {"User-Agent": f"forestall/{__version__}", "Accept-Encoding": "identity"}
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a header, as RFC 9110 has it."""
_VALUE: Final = re.compile(r"[ -~]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A bearer token; surrounding white space is removed, because Secrets often end in a line break."""

    token: str = field(repr=False)

    def authorization(self) -> str:
        """Return the value of the Authorization header.

        Raises:
            InvalidEndpoint: the token is empty, or HTTP does not allow it in a header.
        """
        token = self.token.strip()
        if not token or not _VALUE.fullmatch(token):
            raise InvalidEndpoint("its bearer token is empty, or holds characters that HTTP does not allow")
        return f"Bearer {token}"


@dataclass(frozen=True, slots=True)
class UsernamePassword:
    """HTTP basic authentication; a trailing line break is removed, because Secrets often end in one."""

    username: str = field(repr=False)
    password: str = field(repr=False)

    def authorization(self) -> str:
        """Return the value of the Authorization header, encoded from UTF-8 (RFC 7617).

        Raises:
            InvalidEndpoint: either holds a control character, or the user name a colon.
        """
        username, password = self.username.rstrip("\r\n"), self.password.rstrip("\r\n")
        if ":" in username or _CONTROL.search(username + password):
            raise InvalidEndpoint("its user name or password holds characters that HTTP does not allow")
        return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


Credentials = BearerToken | UsernamePassword


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How an endpoint's certificate is checked."""

    ca_pem: str | None = field(default=None, repr=False)
    """The certificate authority in PEM; the system's when not set."""
    insecure_skip_verify: bool = False
    """Do not check the certificate."""

    def context(self) -> ssl.SSLContext:
        """Return the context of connections: TLS 1.2 or later.

        Raises:
            InvalidEndpoint: the certificate authority is not PEM.
        """
        try:
            context = ssl.create_default_context(cadata=self.ca_pem)
        except (ssl.SSLError, ValueError):
            raise InvalidEndpoint("its certificate authority is not PEM") from None
        context.minimum_version = max(context.minimum_version, LEAST_TLS)
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The URL of requests, with their headers, credentials, TLS settings and timeout."""

    url: str = field(repr=False)
    """Such as ``http://prometheus.monitoring:9090``. The URL of a webhook may be a secret itself."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers of each request."""
    credentials: Credentials | None = None
    tls: TlsSettings = TlsSettings()
    timeout: float = 10.0
    """How long one request may take (s), from connecting to the last byte."""

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Return the endpoint of a URL that a person gave, whose user name and password become credentials."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return cls(url)
        if parts.username is None or parts.password is None:
            return cls(url)
        plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        return cls(plain, credentials=UsernamePassword(unquote(parts.username), unquote(parts.password)))

    def address(self) -> str:
        """Return the checked URL.

        Raises:
            InvalidEndpoint: it is no URL of HTTP, or it holds credentials.
        """
        return urlunsplit(self._checked()._replace(fragment=""))

    def address_of(self, path: str) -> str:
        """Return the checked URL with `path` after its own, without query.

        Raises:
            InvalidEndpoint: as `address`.
        """
        parts = self._checked()
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query="", fragment=""))

    def request_headers(self) -> dict[str, str]:
        """Return the headers of each request, with the credentials.

        Raises:
            InvalidEndpoint: HTTP does not allow one of them.
        """
        own = {name: value.strip(" ") for name, value in self.headers.items()}
        credentials = {} if self.credentials is None else {_AUTHORIZATION: self.credentials.authorization()}
        headers = _merged(_merged(_DEFAULTS, own), credentials)
        if not all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers.items()):
            raise InvalidEndpoint("its headers hold characters that HTTP does not allow")
        return headers

    def _checked(self) -> SplitResult:
        parts = self._split()
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise InvalidEndpoint("its url must begin with http:// or https:// and hold no credentials")
        return parts

    def _split(self) -> SplitResult:
        url = self.url.strip()
        try:
            parts = urlsplit(url)
            _ = parts.port  # which raises where it is not one
        except ValueError:
            raise InvalidEndpoint("its url is not a URL") from None
        if re.search(r"\s", url) or _CONTROL.search(url):
            raise InvalidEndpoint("its url is not a URL")
        return parts


def _merged(headers: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """Return both merged; a header in `over` replaces the one of the same name, regardless of case."""
    names = {name.lower() for name in over}
    return {**{name: value for name, value in headers.items() if name.lower() not in names}, **over}
