"""What the recent cycles said about a live remediation, as far back as it matters."""

import pytest

from forestall.api import Remediation
from forestall.remediation.recent_outlooks import RecentOutlooks


@pytest.fixture
def make(run):
    """Return a Remediation of an action."""

    def make(uid: str = "r-1", **changes: object) -> Remediation:
        spec = {"intent": run.intend(**changes).dump()}
        return Remediation.read({"metadata": {"name": "one", "uid": uid}, "spec": spec})

    return make


def ages(moments, now):
    return [now - moment.at for moment in moments]


def test_they_span_the_stabilization_window_and_no_more(run, make):
    recent, remediation = RecentOutlooks(), make(action={"scale": {"maxReplicas": 12, "stabilizationWindow": "1h"}})
    for now in range(0, 3600, 60):
        recent.add(remediation, run.foresee(), float(now))
    assert ages(recent.add(remediation, run.foresee(), 3600.0), 3600) == list(range(3600, -60, -60))
    assert ages(recent.add(remediation, run.foresee(), 3660.0), 3660)[0] == 3600
    assert ages(recent.add(remediation, run.foresee(), 3719.0), 3719)[0] == 3659, (
        "the window is spanned by an older one"
    )


def test_they_span_at_least_ten_minutes_which_observation_alone_takes(run, make):
    recent, remediation = RecentOutlooks(), make(action={"scale": {"maxReplicas": 12, "stabilizationWindow": "1m"}})
    for now in range(0, 1200, 60):
        recent.add(remediation, run.foresee(), float(now))
    assert ages(recent.add(remediation, run.foresee(), 1200.0), 1200)[0] == 600


def test_of_what_is_not_scaled_the_newest_is_enough(run, make):
    recent, remediation = RecentOutlooks(), make(action={"restart": {}})
    recent.add(remediation, run.foresee(), 0.0)
    assert ages(recent.add(remediation, run.foresee(), 30.0), 30) == [0]


def test_each_remediation_has_its_own_and_one_that_ended_has_none(run, make):
    recent = RecentOutlooks()
    recent.add(make("r-1"), run.foresee(), 0.0)
    assert ages(recent.add(make("r-2"), run.foresee(), 30.0), 30) == [0]
    recent.forget(make("r-1"))
    assert ages(recent.add(make("r-1"), run.foresee(), 60.0), 60) == [0]
    assert ages(recent.add(make("r-2"), run.foresee(), 60.0), 60) == [30, 0]
    recent.forget(make("r-3"))


def test_a_cycle_without_an_outlook_knows_nothing_recent(run, make):
    recent = RecentOutlooks()
    recent.add(make(), run.foresee(), 0.0)
    assert recent.add(make(), None, 30.0) == ()
