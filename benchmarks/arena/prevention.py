"""Shared by the comparisons of leaks and of nodes: the objects of forestall, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forestall.api import API_VERSION
from forestall.sim import recommend
from forestall.sim.operator import OperatorSetup

ALERTS = (0.7, 0.8, 0.9, 0.95)
"""Limits of the alerts."""
LIMIT = 0.95
OBJECTIVE = 99.0


def setup(count: int, interval: float, indicator: dict[str, Any], policy: dict[str, Any]) -> OperatorSetup:
    """Return an objective with one leading indicator with the limit `LIMIT`, and a policy, for each service."""
    saturating = {"limit": LIMIT, "trend": "Saturation", **indicator}
    objective = {
        "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "service"},
        "indicator": {"ratio": {"bad": 'requests_total{code="503"}', "total": "requests_total"}},
        "objective": OBJECTIVE,
        "window": "30d",
        "leadingIndicators": [saturating],
    }
    pair = (_object("ServiceLevelObjective", objective), _object("RemediationPolicy", {"mode": "Auto", **policy}))
    name, per = indicator["name"], indicator["per"]
    return recommend.assemble([pair] * count, {name: name}, autoscalers=False, interval=interval, per=per)


def _object(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "service"}, "spec": spec}


def table(harm: str, acts: str, rows: Sequence[tuple[str, int, float, int, int, int]]) -> list[str]:
    """Return the lines: name, harm, averted share, actions, wasted actions, and bad minutes."""
    head = f"{'':20} {harm:>7} {'averted':>7} {acts:>8} {'wasted':>6} {'bad minutes':>11}"
    return [head] + [
        f"{name:20} {harmed:7} {averted:7.1%} {acted:8} {wasted:6} {bad:11}"
        for name, harmed, averted, acted, wasted, bad in rows
    ]
