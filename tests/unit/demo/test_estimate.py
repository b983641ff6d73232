"""How long a build will still take, told from what it usually takes and from how fast it goes."""

import io

import pytest
from rich.console import Console

from forestall.demo.estimate import Estimate, left
from forestall.demo.programs import MODULES, OPTIONAL
from forestall.demo.progress import Steps


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_it_is_scaled_by_how_fast_it_has_gone(clock):
    slow, fast = (Estimate({"a": 100.0, "b": 300.0}, clock) for _ in range(2))
    slow.begin("a")
    fast.begin("a")
    clock.now = 50.0
    fast.begin("b")
    clock.now = 400.0
    slow.begin("b")
    assert slow.left() > 600  # it took four seconds for each of CPU time
    assert fast.left() < 300


def test_it_falls_while_time_passes_as_expected_and_never_below_nothing(clock):
    estimate = Estimate({"a": 100.0, "b": 100.0}, clock)
    estimate.begin("a")
    before = estimate.left()
    clock.now = before / 10
    assert 0 < estimate.left() < before
    clock.now = 1e6
    assert estimate.left() > 1e5  # what takes long makes the rest longer, too
    estimate.begin("b")
    clock.now = 1e9
    assert estimate.left() >= 0


def test_what_is_not_known_takes_no_time(clock):
    estimate = Estimate({}, clock)
    estimate.begin("a")
    assert estimate.left() == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "less than a minute left"), (61, "about 2 min left"), (700, "about 12 min left")]
)
def test_it_is_told_roughly(seconds, words):
    assert left(seconds) == words


def test_every_program_has_a_cost():
    for module in (*MODULES, *OPTIONAL):
        assert set(module.costs) == set(module.programs)
        assert all(cost > 0 for cost in module.costs.values())


def test_a_step_tells_what_is_left_before_what_it_is_at():
    with Steps(Console(file=io.StringIO())).step("Building") as step:
        step.detail = "k8s.io/api"
        assert step.words == "k8s.io/api"
        step.left = lambda: "about 3 min left"
        assert step.words == "about 3 min left, k8s.io/api"
