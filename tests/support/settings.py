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
