"""Names of channels that can't be resolved now. The kind: an error of our own that a library takes for a panic."""

import pytest

from forestall.adapters.http import resolver
from forestall.adapters.http.resolver import Resolver
from forestall.adapters.threads import Threads, ThreadsClosed, TooManyHang


@pytest.mark.parametrize("error", [TooManyHang, ThreadsClosed])
async def test_what_can_not_be_resolved_now_is_an_error_of_the_connection(monkeypatch, error):
    class Refusing(Threads):
        async def run(self, _):
            raise error("resolver")

    monkeypatch.setattr(resolver, "_THREADS", {"hooks.example.com": Refusing(1, "resolver")})
    with pytest.raises(OSError, match="still under way"):
        await Resolver().resolve("hooks.example.com")
