"""Names of channels that can't be resolved now. The kind: an own exception that a library does not handle."""

import pytest

from forestall.adapters.http import resolver
from forestall.adapters.http.resolver import Resolver
from forestall.adapters.threads import Threads, ThreadsClosed, TooManyHang


@pytest.mark.parametrize("error", [TooManyHang, ThreadsClosed])
async def test_unresolvable_name_is_a_connection_error(monkeypatch, error):
    class Refusing(Threads):
        async def run(self, _):
            raise error("resolver")

    monkeypatch.setattr(resolver, "_THREADS", {"hooks.example.com": Refusing(1, "resolver")})
    with pytest.raises(OSError, match="still under way"):
        await Resolver().resolve("hooks.example.com")
