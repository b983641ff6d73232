"""What the operator's Lease tells beside who leads: whether anybody looks."""

from typing import Final

LAST_CYCLE: Final = "forestall.dev/last-cycle"
"""The annotation with the time at which the leader last finished a cycle (RFC 3339)."""
INTERVAL: Final = "forestall.dev/interval"
"""The annotation with the time from one cycle to the next, such as `30s`."""
