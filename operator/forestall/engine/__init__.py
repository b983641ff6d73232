"""The cycle over all objectives. It runs the same in a cluster, in a backtest and in a simulation: it knows no clock
and no adapter."""

from forestall.engine.cycle import CycleReport, Engine
from forestall.engine.settings import Settings

__all__ = ["CycleReport", "Engine", "Settings"]
