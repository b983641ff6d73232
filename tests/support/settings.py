"""Settings for tests that run the engine in real time on a machine that may be busy."""

from forestall.engine import Settings


class UnhurriedSettings(Settings):
    """Settings whose deadlines within a cycle are minutes, whatever the interval is."""

    __slots__ = ()

    @property
    def limit(self) -> float:
        """The time (s) after which a cycle is cancelled."""
        return 600.0

    @property
    def turn(self) -> float:
        """How long (s) one cycle decides for one namespace."""
        return 300.0


class PatientSettings(UnhurriedSettings):
    """Settings with which no cycle gives up waiting for a server that only a busy machine makes slow."""

    __slots__ = ()

    @property
    def delivery_wait(self) -> float:
        """How long (s) one cycle waits for the delivery of a notification."""
        return 120.0

    @property
    def backfill(self) -> float:
        """How long (s) one cycle fetches history."""
        return 120.0

    @property
    def windows(self) -> float:
        """How long (s) one cycle reads windows in pieces."""
        return 120.0
