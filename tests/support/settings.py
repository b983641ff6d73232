"""Settings for tests of the engine in real time, which a busy machine may slow down."""

from forestall.engine import Settings


class UnhurriedSettings(Settings):
    """Settings whose deadlines within a cycle are minutes, whatever the interval is."""

    __slots__ = ()

    @property
    def limit(self) -> float:
        """After how long (s) a cycle is given up."""
        return 600.0

    @property
    def turn(self) -> float:
        """For how long (s) one cycle decides for one namespace."""
        return 300.0
