"""The state of a run, which the ports and the controllers read."""

from dataclasses import dataclass

from forestall.sim.controllers.base import Observation
from forestall.sim.run_record import RunRecord
from forestall.sim.scales import Scales
from forestall.sim.service import ServiceFleet
from forestall.sim.traffic import Arrivals


@dataclass(slots=True)
class ModelState:
    """The model at the beginning of step `step`."""

    fleet: ServiceFleet
    arrivals: Arrivals
    record: RunRecord
    scales: Scales
    epoch: float
    """Start of the run (s since the epoch)."""
    step: int = 0

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.epoch + self.step * self.arrivals.step_s

    @property
    def observation(self) -> Observation:
        """What controllers observe."""
        fleet = self.fleet
        return Observation(self.step, self.arrivals, self.record, self.scales, fleet.ready, fleet.capacity, fleet.nodes)
