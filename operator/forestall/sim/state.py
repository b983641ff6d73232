"""Where a run stands: what the ports and the controllers look at."""

from dataclasses import dataclass

from forestall.sim.peers.base import Seen
from forestall.sim.record import Record
from forestall.sim.scales import Scales
from forestall.sim.service import Fleet
from forestall.sim.traffic import Loads


@dataclass(slots=True)
class State:
    """The model at the beginning of step `step`."""

    fleet: Fleet
    loads: Loads
    record: Record
    scales: Scales
    epoch: float
    """When the run begins (s since the epoch)."""
    step: int = 0

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.epoch + self.step * self.loads.step_s

    @property
    def seen(self) -> Seen:
        """What controllers know."""
        fleet = self.fleet
        return Seen(self.step, self.loads, self.record, self.scales, fleet.ready, fleet.capacity, fleet.nodes)
