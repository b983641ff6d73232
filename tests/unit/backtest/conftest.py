"""A small history to replay: one objective, one policy, and their measurements."""

from pathlib import Path

import pytest
import yaml

from forestall.api import API_VERSION

START = 1_772_323_200.0  # 2026-03-01T00:00:00Z
STEP = 60.0


def make_objective(name="shop", **spec):
    """Return an objective with the leading indicator `busy`; `spec` overrides."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ServiceLevelObjective",
        "metadata": {"name": name},
        "spec": {
            "target": {"name": name},
            "indicator": {"raw": {"errorRatio": "errors:ratio$window"}},
            "objective": 99.5,
            "leadingIndicators": [{"name": "busy", "query": "busy", "limit": 10, "horizon": "20m"}],
            **spec,
        },
    }


def make_policy(name="shop", **spec):
    """Return a policy that scales at a probability of one half."""
    return {
        "apiVersion": API_VERSION,
        "kind": "RemediationPolicy",
        "metadata": {"name": name},
        "spec": {"when": {"probability": 0.5}, "actions": [{"scale": {"maxReplicas": 9}}], **spec},
    }


@pytest.fixture(scope="session")
def objective():
    return make_objective


@pytest.fixture(scope="session")
def policy():
    return make_policy


@pytest.fixture(scope="session")
def ramps():
    return make_ramps


@pytest.fixture
def write(tmp_path):
    """Write a file, from a text or from objects, and return its path."""

    def to(name: str, *content: object) -> Path:
        path: Path = tmp_path / name
        text = content[0] if isinstance(content[0], str) else str(yaml.safe_dump_all(content))
        path.write_text(text, encoding="utf-8")
        return path

    return to


def make_ramps(steps, period=120, length=40, low=4.0, high=12.0):
    """Return values that are low, and rise past the limit evenly once in `period` steps."""
    values = []
    for step in range(steps):
        position = step % period - (period - length)
        share = max(0.0, position / (length - 10)) if position < length - 10 else 1.0
        values.append(low + (high - low) * share + 0.2 * ((step * 7919) % 13 - 6) / 6)
    return values
