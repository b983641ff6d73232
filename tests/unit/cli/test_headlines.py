"""What every screen says first: that nobody looks, what is paused, what is suspended."""

import pytest

from forestall.errors import Forbidden

LEASE = "forestall-system/forestall"
SCREENS = [("status",), ("status", "-A"), ("explain", "checkout"), ("history",), ("history", "scale-1")]


@pytest.fixture
def looked(cluster):
    """An objective that is called healthy, and the operator's Lease, each with the time at which somebody looked."""
    cluster.kinds.add("Lease")

    def put(status=None, cycle=None, interval="30s"):
        cluster.put_objective("checkout", "Healthy", lastEvaluated=status, evaluatedBy=LEASE)
        lease = cluster.put("Lease", "forestall", namespace="forestall-system")
        told = {"forestall.dev/last-cycle": cycle, "forestall.dev/interval": interval}
        lease["metadata"]["annotations"] = {key: value for key, value in told.items() if value}
        cluster.put_remediation("scale-1", "Verifying")

    return put


def first(program, screen):
    """Return what a screen says before all else."""
    code, _, err = program(*screen)
    assert code == 0
    return err


@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_says_first_that_nobody_looks(program, looked, screen):
    """Kind: the last state shown as the present one, for ever, by a program that has died."""
    looked("2025-06-15T12:00:00Z", "2025-06-15T12:05:40Z")
    said = first(program, screen)
    assert said.lstrip(" !").startswith("OPERATOR NOT RUNNING: the last evaluation was 3h1m")
    assert "kubectl get pods -n forestall-system" in said


@pytest.mark.parametrize("screen", SCREENS)
def test_where_somebody_looks_nothing_is_said(program, looked, screen):
    looked("2025-06-15T14:58:00Z", "2025-06-15T15:05:20Z")
    assert "NOT RUNNING" not in first(program, screen)


@pytest.mark.parametrize(
    ("cycle", "interval", "alive"),
    [
        ("2025-06-15T15:05:11Z", "30s", True),
        ("2025-06-15T15:05:09Z", "30s", False),
        ("2025-06-15T15:05:09Z", "1m", True),
        ("2025-06-15T15:06:20Z", "5s", False),
        ("2025-06-15T15:05:11Z", "nonsense", True),
    ],
)
def test_three_intervals_without_a_cycle_are_too_many(program, looked, cycle, interval, alive):
    looked("2025-06-15T15:05:00Z", cycle, interval)
    assert ("NOT RUNNING" not in program("status")[2]) is alive


def test_who_may_not_read_the_lease_is_told_by_the_statuses(program, looked, cluster):
    cluster.failures["read", "Lease"] = Forbidden("GET: denied")
    looked("2025-06-15T14:37:00Z", "2025-06-15T12:00:00Z")
    assert "NOT RUNNING" not in program("status")[2]
    looked("2025-06-15T14:36:00Z", "2025-06-15T15:06:00Z")
    assert "OPERATOR NOT RUNNING: the last evaluation was 30m40s" in program("status")[2]


def test_a_lease_that_is_gone_has_nobody_behind_it(program, looked, cluster):
    looked("2025-06-15T15:00:00Z", "2025-06-15T15:06:00Z")
    del cluster.objects["Lease", "forestall-system", "forestall"]
    assert "OPERATOR NOT RUNNING" in program("status")[2]


def test_an_objective_that_nobody_ever_looked_at(program, cluster):
    body = cluster.put_objective("checkout")
    body["metadata"]["creationTimestamp"] = "2025-06-15T15:06:00Z"
    assert program("status")[2] == "", "it is new"
    body["metadata"]["creationTimestamp"] = "2025-06-15T15:00:00Z"
    assert "OPERATOR NOT RUNNING: no operator has evaluated the objectives yet" in program("status")[2]


@pytest.mark.parametrize("screen", [each for each in SCREENS if each[0] != "explain"])
def test_every_screen_says_what_is_paused_and_suspended(program, looked, cluster, screen):
    """Kind: an operator that stands still, while the screen gives another reason."""
    looked("2025-06-15T15:06:00Z", "2025-06-15T15:06:30Z")
    cluster.put("RemediationPolicy", "early", spec={"suspend": True, "actions": [{"notify": {"channel": "pager"}}]})
    cluster.put("Pause", "all", spec={"by": "kim", "reason": "an incident"})
    code, out, err = program(*screen)
    assert code == 0
    assert "PAUSED: namespace shop by kim: an incident" in out + err
    assert "SUSPENDED: policy early in namespace shop: it starts nothing new" in out + err


@pytest.mark.parametrize("command", ["approve", "undo"])
def test_who_asks_for_something_learns_that_nobody_hears(program, looked, cluster, command):
    looked("2025-06-15T12:00:00Z", "2025-06-15T12:00:00Z")
    cluster.put_remediation("scale-1", "AwaitingApproval" if command == "approve" else "Verifying")
    assert "OPERATOR NOT RUNNING" in program(command, "scale-1", "--comment", "why")[2]
