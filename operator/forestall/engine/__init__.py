"""The cycle over all objectives. It runs the same in a cluster, in a backtest and in a simulation: it knows no clock
and no adapter."""

from forestall.engine.cycle import Engine
from forestall.engine.cycle_report import CycleReport
from forestall.engine.settings import Settings

__all__ = ["CycleReport", "Engine", "Settings"]
