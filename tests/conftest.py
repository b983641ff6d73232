"""What all tests share: the tiers and their order, and the programs that the upper tiers run."""

import gc
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from tests.support.examples import IS_RANDOM

from forestall.devcluster.programs import Programs
from forestall.devcluster.provider import local_programs

pytest.register_assert_rewrite("tests.support.conformance")

ROOT = Path(__file__).resolve().parents[1]
TIERS = ("unit", "adapters", "cluster", "nodes", "e2e")
LONGEST = (
    *("test_scenarios.py", "test_chart.py", "test_incident.py", "test_bad_input.py", "test_pause.py", "test_safety.py"),
    *("test_drain.py", "test_nodes.py", "test_kubernetes_lease.py", "test_killed.py", "test_cli.py", "test_keda.py"),
    *("test_namespace_quota.py", "test_tutorial.py", "test_lost_responses.py", "test_job.py", "test_admission.py"),
    *("test_kubernetes_watch.py", "test_guards.py", "test_rollback.py", "test_upgrade.py", "test_failover.py"),
)
"""Files of the upper tiers that take longer than half a minute, the longest first."""

# How long an example takes says nothing on a machine that does other things, too. Every run has the same examples, so
# that no change fails for what it did not touch; `make fuzz` has others each time.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("random", deadline=None, max_examples=300, print_blob=True)
settings.load_profile("random" if IS_RANDOM else "repeatable")

# What is logged goes to the captured output of a test. By itself structlog draws tracebacks with the variables of all
# frames there, which takes seconds for each.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its tier, which is the name of its folder, and run the quick tiers first.

    In a tier the files that take longest come first, so that at the end all workers are done at about the same time.
    """
    for item in items:
        if (tier := _tier(item)) != "unit":
            item.add_marker(tier)
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (TIERS.index(_tier(item)), ranks.get(item.path.name, len(ranks))))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was imported and collected, which stays for good, and run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _tier(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT / "tests").parts[0]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def programs() -> Programs:
    """The control plane's programs; the first time on a machine they are built."""
    return local_programs(purpose="tests")
