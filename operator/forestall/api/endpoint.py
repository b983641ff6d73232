"""What the objects have in common that name an HTTP endpoint: credentials, TLS and headers."""

from typing import Annotated, Final

from pydantic import Field

from forestall.api.meta import Model, rule, rules

Headers = Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=8)]
"""Headers of each request."""
HEADER_RULES: Final = (
    rule(
        "!has(self.headers) || self.headers.all(name, name.matches('^[A-Za-z0-9-]{1,128}$') && "
        "name.lowerAscii() != 'authorization')",
        "a header's name has letters, digits and dashes; credentials belong in `auth`, which reads a Secret",
        fieldPath=".headers",
    ),
    rule(
        "!has(self.headers) || self.headers.all(name, self.headers[name].matches('^[ -~]*$'))",
        "a header's value has printable ASCII characters only",
        fieldPath=".headers",
    ),
)
"""The rules of a spec that has `headers`."""


class SecretKeyRef(Model):
    """A key of a Secret in the operator's own namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The Secret's name."""
    key: Annotated[str, Field(min_length=1, max_length=253)]
    """The key in the Secret."""


class BasicAuth(Model):
    """HTTP basic authentication."""

    username: SecretKeyRef
    """The Secret key that holds the user name."""
    password: SecretKeyRef
    """The Secret key that holds the password."""


class Auth(Model):
    """The credentials: at most one of the fields."""

    model_config = rules(
        rule("!(has(self.bearerToken) && has(self.basic))", "give at most one of `bearerToken` and `basic`")
    )

    bearer_token: SecretKeyRef | None = None
    """A bearer token for the Authorization header."""
    basic: BasicAuth | None = None
    """A user name and a password."""


class Tls(Model):
    """Settings for the verification of the endpoint's certificate."""

    ca: SecretKeyRef | None = None
    """The CA certificate in PEM format. Default: the system's."""
    insecure_skip_verify: bool = False
    """Do not verify the certificate. For tests only."""
