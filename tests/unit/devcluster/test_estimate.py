"""How long a build will still take, told from what it usually takes and from how fast it goes."""

import io
import os

import pytest
from rich.console import Console

from forestall.devcluster import estimate as module
from forestall.devcluster.estimate import Estimate, cores, left, load, pace
from forestall.devcluster.programs import MODULES, OPTIONAL
from forestall.devcluster.progress import Steps


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_it_is_scaled_by_how_fast_it_has_gone(clock):
    slow, fast = (Estimate({"a": 100.0, "b": 300.0}, clock, expected=0.5) for _ in range(2))
    slow.begin("a")
    fast.begin("a")
    clock.now = 50.0
    fast.begin("b")
    clock.now = 400.0
    slow.begin("b")
    assert slow.left() > 600  # it took four seconds for each of CPU time
    assert fast.left() < 300


def test_it_falls_while_time_passes_as_expected_and_never_below_nothing(clock):
    estimate = Estimate({"a": 100.0, "b": 100.0}, clock, expected=0.5)
    estimate.begin("a")
    before = estimate.left()
    clock.now = before / 10
    assert 0 < estimate.left() < before
    clock.now = 1e6
    assert estimate.left() > 1e5  # what takes long makes the rest longer, too
    estimate.begin("b")
    clock.now = 1e9
    assert estimate.left() >= 0


COSTS = {name: cost for each in MODULES for name, cost in each.costs.items()}


def told_and_true(expected, taken):
    """Build all programs, each of which takes `taken` s for a second of its cost.

    Return after how many are done, what is told then, and what is true.
    """
    clock = Clock()
    estimate, left_over = Estimate(COSTS, clock, expected), sum(COSTS.values()) * taken
    moments = []
    for done, (name, cost) in enumerate(COSTS.items()):
        estimate.begin(name)
        moments.append((done, estimate.left(), left_over))
        clock.now += cost * taken
        left_over -= cost * taken
    return moments


@pytest.mark.parametrize("expected", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("taken", [0.25, 0.5, 1.0, 2.0])
def test_it_learns_from_the_first_program_that_is_finished(expected, taken):
    """Kind: a time that is told by what is usual on another machine, and held on to against what was seen here."""
    for done, told, true in told_and_true(expected, taken):
        assert done == 0 or told == pytest.approx(true, rel=0.6 if abs(expected - taken) > 0.5 else 0.2)
        assert done < 2 or told == pytest.approx(true, rel=0.35)


def test_a_program_that_takes_longer_than_it_should_tells_so_before_it_is_finished():
    clock = Clock()
    estimate = Estimate({"a": 500.0, "b": 1500.0}, clock, expected=0.5)
    estimate.begin("a")
    clock.now = 600.0
    assert estimate.left() > 1200  # three times as many as the 500 s that b was to take at first


@pytest.mark.parametrize(
    ("cores", "load", "seconds"), [(2, 0.0, 0.53), (2, 2.0, 1.02), (2, 6.0, 2.07), (8, 0.0, 0.17), (64, 0.0, 0.065)]
)
def test_the_pace_to_begin_with_is_that_of_the_cores_as_busy_as_they_are(cores, load, seconds):
    assert pace(cores, load) == pytest.approx(seconds, rel=0.02)


def test_cores_and_load_are_those_that_the_process_may_use(monkeypatch, tmp_path):
    """Kind: a container that is told of the machine's cores, and has a few of them."""
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(module, "_QUOTA", quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "getloadavg", lambda: (4.0, 0.0, 0.0), raising=False)
    assert (cores(), load()) == (8.0, 2.0)
    quota.write_text("max 100000\n")
    assert cores() == 8.0
    quota.write_text("150000 100000\n")
    assert (cores(), load()) == (1.5, 0.375)


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
    for each in (*MODULES, *OPTIONAL):
        assert set(each.costs) == set(each.programs)
        assert all(cost > 0 for cost in each.costs.values())


def test_a_step_tells_what_is_left_before_what_it_is_at():
    with Steps(Console(file=io.StringIO())).step("Building") as step:
        step.detail = "k8s.io/api"
        assert step.text == "k8s.io/api"
        step.left = lambda: "about 3 min left"
        assert step.text == "about 3 min left, k8s.io/api"
