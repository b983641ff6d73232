"""What became of what was sent, by channel, for the channels' conditions."""

from forestall.errors import NotSent
from forestall.ports import Notice, Notifier


class Outbox:
    """Wraps a `Notifier`, and remembers how the last sending by each channel went."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._last: dict[str, NotSent | None] = {}

    async def send(self, channel: str, notice: Notice) -> None:
        """Send `notice`.

        Raises:
            NotSent: as the port says.
        """
        try:
            await self._notifier.send(channel, notice)
        except NotSent as error:
            self._last[channel] = error
            raise
        self._last[channel] = None

    def was_used(self, channel: str) -> bool:
        """Say whether anything was sent by it since this process began."""
        return channel in self._last

    def trouble(self, channel: str) -> NotSent | None:
        """Return why the last sending failed; None where it did not."""
        return self._last.get(channel)
