"""The reconcile cycle over all objectives. It reads no clock and imports no adapter, so that it runs the same in a
cluster, in a backtest and in a simulation.
"""

from forestall.engine.cycle import Engine
from forestall.engine.cycle_report import CycleReport
from forestall.engine.settings import Settings

__all__ = ["CycleReport", "Engine", "Settings"]
