"""Turns NotificationChannels into endpoints: checks who may use them, and reads their Secrets."""

from forestall.adapters.http import Endpoint, EndpointReader, ReadSecret
from forestall.adapters.notifiers.formats import content_of
from forestall.adapters.notifiers.post import post
from forestall.api import NotificationChannel
from forestall.errors import ClusterError, NotSent
from forestall.ports import Notice
from forestall.registry import Registry


class Channels:
    """Implements the `Notifier` port. Secrets are read for each notification: there are few, and they may be
    rotated.
    """

    def __init__(self, registry: Registry, read_secret: ReadSecret) -> None:
        self._registry = registry
        self._reader = EndpointReader(read_secret)

    async def send(self, channel: str, notice: Notice) -> None:
        """Send `notice`.

        Raises:
            NotSent: as in the port.
        """
        notification_channel = self._registry.get(NotificationChannel, channel)
        if notification_channel is None:
            invalid = self._registry.is_invalid(NotificationChannel, channel)
            message = f"NotificationChannel {channel!r} {'is invalid' if invalid else 'does not exist'}"
            raise NotSent("ChannelMissing", f"{message}: ask a cluster admin for it")
        labels = self._registry.labels(notice.namespace)
        if labels is None or not notification_channel.spec.namespaces.matches(labels):
            message = f"NotificationChannel {channel!r} is not open to namespace {notice.namespace!r}"
            raise NotSent("ChannelNotAllowed", message)
        await post(
            channel, await self._endpoint(notification_channel), content_of(notification_channel.spec.type, notice)
        )

    async def _endpoint(self, channel: NotificationChannel) -> Endpoint:
        spec = channel.spec
        try:
            return await self._reader.read(spec.url or spec.url_from or "", spec)
        except ClusterError as error:
            raise NotSent("ChannelUnreadable", f"a Secret of channel {channel.name} can't be read: {error}") from error
