"""From NotificationChannels to endpoints: who may use them, and the Secrets that they name."""

from collections.abc import Awaitable, Callable

from forestall.adapters.notifiers.formats import content_of
from forestall.adapters.notifiers.post import Endpoint, post
from forestall.api import NotificationChannel
from forestall.api.metric_source import SecretKeyRef
from forestall.errors import ClusterError, NotSent
from forestall.ports import Notice
from forestall.registry import Registry


class Channels:
    """Implements the `Notifier` port. Secrets are read for each notice: there are few, and they may be rotated."""

    def __init__(self, registry: Registry, read_secret: Callable[[str, str], Awaitable[str]]) -> None:
        """`read_secret` returns the text under a key of a Secret in the operator's own namespace."""
        self._registry = registry
        self._read_secret = read_secret

    async def send(self, channel: str, notice: Notice) -> None:
        """Send `notice`.

        Raises:
            NotSent: as the port says.
        """
        found = self._registry.get(NotificationChannel, channel)
        if found is None:
            invalid = self._registry.is_invalid(NotificationChannel, channel)
            words = f"NotificationChannel {channel!r} {'is invalid' if invalid else 'does not exist'}"
            raise NotSent("ChannelMissing", f"{words}: ask a cluster admin for it")
        labels = self._registry.labels(notice.namespace)
        if labels is None or not found.spec.namespaces.matches(labels):
            words = f"NotificationChannel {channel!r} is not open to namespace {notice.namespace!r}"
            raise NotSent("ChannelNotAllowed", words)
        await post(await self._endpoint(found), content_of(found.spec.type, notice))

    async def _endpoint(self, channel: NotificationChannel) -> Endpoint:
        spec, basic = channel.spec, channel.spec.auth.basic
        try:
            return Endpoint(
                name=channel.name,
                url=spec.url or await self._text(spec.url_from) or "",
                headers=spec.headers,
                basic=(await self._read(basic.username), await self._read(basic.password)) if basic else None,
                bearer_token=await self._text(spec.auth.bearer_token),
                ca_pem=await self._text(spec.tls.ca),
                insecure_skip_verify=spec.tls.insecure_skip_verify,
                timeout=spec.timeout.seconds,
            )
        except ClusterError as error:
            raise NotSent("ChannelUnreadable", f"a Secret of channel {channel.name} can't be read: {error}") from error

    async def _text(self, ref: SecretKeyRef | None) -> str | None:
        return None if ref is None else await self._read(ref)

    async def _read(self, ref: SecretKeyRef) -> str:
        return await self._read_secret(ref.name, ref.key)
