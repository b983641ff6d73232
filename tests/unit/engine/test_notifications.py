"""Who is notified of what, how often, and what is recorded about it."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from forestall.actions.notices import notice_of
from forestall.api import API_VERSION, Remediation
from forestall.api.meta import condition
from forestall.api.service_level_objective import Decision
from forestall.api.times import stamp
from forestall.core.risk import ObjectiveState, Risk
from forestall.engine.delivery_tracker import SENDING, DeliveryTracker
from forestall.engine.notifications import MOST, NotificationDispatcher
from forestall.engine.objective_status import Findings
from forestall.errors import NotSent, Unavailable
from forestall.registry import Registry
from forestall.remediation.status_updates import with_condition

NOW = 1_000_000.0


class Channels:
    """Implements the `Notifier` port: records notifications, and fails for chosen channels."""

    def __init__(self):
        self.sent = []
        self.down = set()
        self.hanging = {}

    async def send(self, channel, notice):
        if channel in self.hanging:
            await self.hanging[channel].wait()
        if channel in self.down:
            raise NotSent("ChannelDown", f"no connection to channel {channel}")
        self.sent.append((channel, notice))

    @property
    def ids(self):
        return [(channel, notice.id) for channel, notice in self.sent]


class Notes:
    """The part of the reconciler that writes conditions."""

    def __init__(self):
        self.failing = False
        self.version = 0

    async def set_condition(self, remediation, condition):
        if self.failing:
            raise Unavailable("no answer")
        metadata = remediation.metadata.model_copy(update={"resource_version": f"1{self.version:03}"})
        self.version += 1
        return remediation.model_copy(
            update={"metadata": metadata, "status": with_condition(remediation.status, condition)}
        )


@pytest.fixture
def channels():
    return Channels()


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def herald(channels, notes, registry):
    return NotificationDispatcher(DeliveryTracker(channels), notes, registry)


@pytest.fixture
def put(registry, make_policy, make_remediation):
    """Put a policy with these subscriptions, a Guardrail with others, and a Remediation."""
    versions = iter(range(1, 1000))

    def put(policy=(), guardrail=(), phase="AwaitingApproval", name="r", **intent):
        def store(one, **spec):
            body = one.dump()
            body["metadata"]["resourceVersion"] = str(next(versions))
            body["spec"] |= spec
            registry.put(one.KIND, body)

        metadata = {"name": "g", "uid": "g", "resourceVersion": str(next(versions))}
        body = {"apiVersion": API_VERSION, "kind": "Guardrail", "metadata": metadata}
        registry.put("Guardrail", {**body, "spec": {"notify": list(guardrail)}})
        store(make_policy(notify=list(policy)))
        one = make_remediation(phase, **intent)
        store(one.model_copy(update={"metadata": one.metadata.model_copy(update={"name": name, "uid": f"u-{name}"})}))

    return put


@pytest.fixture
def told(registry):
    def told(topic="ApprovalRequired", name="r"):
        one = registry.get(Remediation, name, "shop")
        assert one is not None
        found = condition(one.status.conditions, f"Notified{topic}")
        return None if found is None else found.message

    return told


def stuck(slo, reason):
    decision = Decision(policy="early", verdict="Hold", reason=reason, message="x")
    return [Findings(slo=slo, risk=Risk(ObjectiveState.AT_RISK, 0.9, None), decisions=(decision,))]


async def test_each_subscribed_channel_is_notified_once(herald, channels, put, told):
    put(policy=[{"channel": "team"}, {"channel": "pager"}], guardrail=[{"channel": "pager"}])
    await herald.dispatch([], NOW)
    await herald.dispatch([], NOW + 30)
    assert channels.ids == [("pager", "u-r.ApprovalRequired"), ("team", "u-r.ApprovalRequired")]
    assert told() == "told by pager, team"


@pytest.mark.parametrize(
    "change",
    [
        {"policy": []},
        {"policy": [{"channel": "team", "topics": ["Locked"]}]},
        {"phase": "Executing"},
        {"phase": "Aborted"},
        {"action": {"notify": {"channel": "team"}}},
    ],
)
async def test_channels_without_subscription_are_not_notified(herald, channels, put, change):
    put(**{"policy": [{"channel": "team"}], **change})
    await herald.dispatch([], NOW)
    assert channels.sent == []


async def test_failed_notification_is_retried_and_others_are_not_notified_twice(herald, channels, put, told):
    put(policy=[{"channel": "team"}, {"channel": "pager"}])
    channels.down = {"pager"}
    await herald.dispatch([], NOW)
    await herald.dispatch([], NOW + 30)
    assert channels.ids == [("team", "u-r.ApprovalRequired")]
    assert told() is None
    channels.down = set()
    await herald.dispatch([], NOW + 60)
    assert channels.ids[1:] == [("pager", "u-r.ApprovalRequired")]
    assert told() == "told by team, pager"


async def test_unrecorded_notification_is_sent_again_with_the_same_id_by_the_next_leader(
    herald, channels, notes, registry, put, told
):
    put(policy=[{"channel": "team"}])
    notes.failing = True
    await herald.dispatch([], NOW)
    await herald.dispatch([], NOW + 30)
    assert len(channels.sent) == 1, "this process knows that it was sent"
    notes.failing = False
    await NotificationDispatcher(DeliveryTracker(channels), notes, registry).dispatch([], NOW + 60)
    assert len(set(channels.ids)) == 1
    assert len(channels.sent) == 2
    assert told() == "told by team"


@pytest.mark.parametrize("reason", ["LadderExhausted", "Locked"])
async def test_stuck_policy_is_reported_with_its_last_remediation(herald, channels, put, told, slo, reason):
    put(policy=[{"channel": "team"}], phase="Failed", name="old", created="1970-01-01T00:01:40Z")
    put(policy=[{"channel": "team"}], phase="RolledBack", name="new", created="1970-01-01T00:02:40Z")
    put(policy=[{"channel": "team"}], phase="Succeeded", name="good", created="1970-01-01T00:03:40Z")
    await herald.dispatch(stuck(slo, "Cooldown"), NOW)
    assert channels.sent == []
    await herald.dispatch(stuck(slo, reason), NOW)
    await herald.dispatch(stuck(slo, reason), NOW + 30)
    assert channels.ids == [("team", f"u-new.{reason}")]
    assert told(reason, "new") == "told by team"


async def test_hanging_channel_is_awaited_once_and_briefly_and_nobody_is_notified_twice(
    channels, notes, registry, put, told
):
    """The kind: one slow thing in a cycle delays all: a channel took up to 12 s of each cycle for each notification."""
    outbox = DeliveryTracker(channels, wait=0.01)
    herald = NotificationDispatcher(outbox, notes, registry)
    put(policy=[{"channel": "slow"}, {"channel": "team"}])
    channels.hanging["slow"] = asyncio.Event()
    for cycle in range(4):
        await asyncio.wait_for(herald.dispatch([], NOW + 30 * cycle), 60)
    assert channels.ids == [("team", "u-r.ApprovalRequired")]
    assert told() is None
    channels.hanging["slow"].set()
    await asyncio.sleep(0)
    for cycle in range(4, 8):
        await herald.dispatch([], NOW + 30 * cycle)
    assert sorted(channels.ids) == [("slow", "u-r.ApprovalRequired"), ("team", "u-r.ApprovalRequired")]
    assert told() == "told by slow, team"


async def test_failing_channel_delays_no_other_notification(channels, notes, registry, put, told):
    """The kind: one slow thing in a cycle delays all: the first twenty notifications of a failing channel blocked all
    others.
    """
    herald = NotificationDispatcher(DeliveryTracker(channels), notes, registry)
    channels.down = {"team"}
    for number in range(2 * MOST):
        put(policy=[{"channel": "team"}], name=f"r-{number}")
    for cycle in range(2):
        await herald.dispatch([], NOW + cycle)
    channels.down = set()
    for cycle in range(2, 4):
        await herald.dispatch([], NOW + cycle)
    assert len(set(channels.ids)) == len(channels.ids) == 2 * MOST


async def test_deliveries_under_way_are_bounded_by_channel_and_end_with_the_tracker(channels, make_remediation):
    outbox, one = DeliveryTracker(channels, wait=0.01), make_remediation()
    channels.hanging["slow"] = asyncio.Event()
    notices = [replace(notice_of(one, "Locked", NOW), id=f"n-{number}") for number in range(50)]
    for notice in notices:
        with pytest.raises(NotSent) as caught:
            await outbox.send("slow", notice)
        assert caught.value.reason == SENDING
    await outbox.send("team", notices[0])
    assert channels.ids == [("team", "n-0")]
    before = asyncio.all_tasks()
    await outbox.close()
    assert len(before - asyncio.all_tasks()) == 50
    assert channels.ids == [("team", "n-0")]


async def test_delivery_continues_when_its_cycle_is_cancelled(channels, make_remediation):
    outbox, notice = DeliveryTracker(channels, wait=60.0), notice_of(make_remediation(), "Locked", NOW)
    channels.hanging["slow"] = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.send("slow", notice)
    channels.hanging["slow"].set()
    await asyncio.sleep(0)
    await outbox.send("slow", notice)
    await outbox.send("slow", notice)
    assert len(channels.sent) == 1


async def test_result_of_a_channel_is_remembered(channels, make_remediation):
    outbox, notice = DeliveryTracker(channels), notice_of(make_remediation(), "Locked", NOW)
    assert not outbox.was_used("team")
    channels.down = {"team"}
    with pytest.raises(NotSent):
        await outbox.send("team", notice)
    assert outbox.was_used("team")
    trouble = outbox.trouble("team")
    assert trouble is not None
    assert trouble.reason == "ChannelDown"
    channels.down = set()
    await outbox.send("team", notice)
    assert outbox.trouble("team") is None


@pytest.mark.parametrize(
    ("topic", "first", "title"),
    [
        ("ApprovalRequired", "approve", "Scale for shop/checkout waits for approval"),
        ("Locked", "unlock", "policy early does nothing for shop/checkout until a person has looked"),
        ("LadderExhausted", "explain", "shop/checkout is at risk, and every action was tried"),
        ("Notify", "explain", "shop/checkout is at risk"),
    ],
)
def test_notification_says_what_a_person_can_do(make_remediation, topic, first, title):
    one = make_remediation()
    notice = notice_of(one, topic, NOW, "see the runbook")
    assert next(iter(notice.commands)) == first
    assert "pause" in notice.commands
    assert (notice.title, notice.message, notice.target) == (title, "see the runbook", "deployment shop/checkout")
    assert notice.id == (one.uid if topic == "Notify" else f"{one.uid}.{topic}")


@pytest.mark.parametrize("count", [20, 21, 41])
async def test_no_more_than_twenty_are_sent_in_one_cycle(herald, channels, put, count):
    for number in range(count):
        put(policy=[{"channel": "team"}], name=f"r-{number:02}")
    for cycle in range(1, 4):
        await herald.dispatch([], NOW + cycle)
        assert len(channels.sent) == min(count, 20 * cycle)


async def test_approved_remediation_is_not_notified_as_awaiting_approval(herald, channels, put, registry, told):
    put(policy=[{"channel": "team"}])
    one = registry.get(Remediation, "r", "shop")
    body = one.dump()
    body["metadata"]["resourceVersion"] = "900"
    body["spec"]["approval"] = {"decision": "Approved", "by": "jo"}
    registry.put("Remediation", body)
    await herald.dispatch([], NOW)
    assert channels.sent == []


async def test_channel_receives_only_the_topics_it_subscribes_to(herald, channels, put, slo):
    put(policy=[{"channel": "team", "topics": ["Locked"]}], guardrail=[{"channel": "all"}], phase="Failed")
    await herald.dispatch(stuck(slo, "LadderExhausted"), NOW)
    assert channels.ids == [("all", "u-r.LadderExhausted")]


async def test_condition_of_a_notification_has_its_time(herald, put, registry):
    put(policy=[{"channel": "team"}])
    await herald.dispatch([], NOW)
    one = registry.get(Remediation, "r", "shop")
    noted = condition(one.status.conditions, "NotifiedApprovalRequired")
    assert noted is not None
    assert (noted.status, noted.reason, noted.last_transition_time) == ("True", "Delivered", stamp(NOW))


@pytest.mark.parametrize(
    ("phase", "verified", "has_failed"),
    [("RollingBack", "False", True), ("Verifying", "True", False), ("Verifying", None, False)],
)
async def test_only_a_remediation_that_did_not_help_is_notified_as_the_last_attempt(
    herald, channels, put, slo, phase, verified, has_failed
):
    put(policy=[{"channel": "team"}], phase=phase, verified=verified)
    await herald.dispatch(stuck(slo, "Locked"), NOW)
    assert bool(channels.sent) is has_failed


async def test_only_a_hold_of_the_same_policy_is_notified(herald, channels, put, slo):
    put(policy=[{"channel": "team"}], phase="Failed")
    for decision in (
        Decision(policy="early", verdict="Act", reason="Locked", message="x"),
        Decision(policy="other", verdict="Hold", reason="Locked", message="x"),
    ):
        findings = Findings(slo=slo, risk=Risk(ObjectiveState.AT_RISK, 0.9, None), decisions=(decision,))
        await herald.dispatch([findings], NOW)
    assert channels.sent == []


async def test_a_delivery_that_fails_is_logged_and_one_under_way_is_not(herald, channels, put):
    put(policy=[{"channel": "team"}])
    channels.down = {"team"}
    with capture_logs() as logs:
        await herald.dispatch([], NOW)
    assert [(log["event"], log["channel"], log["reason"]) for log in logs] == [("not sent", "team", "ChannelDown")]
    channels.down = set()
    channels.hanging["team"] = asyncio.Event()
    herald._notifier = DeliveryTracker(channels, wait=0.0)
    with capture_logs() as logs:
        await herald.dispatch([], NOW)
    assert logs == []
    await herald._notifier.close()


async def test_error_in_one_notification_affects_no_other(herald, channels, put, monkeypatch):
    for name in ("a", "b"):
        put(policy=[{"channel": "team"}], name=name)
    notice = notice_of

    def broken(remediation, *args):
        if remediation.name == "a":
            raise RuntimeError("bug")
        return notice(remediation, *args)

    monkeypatch.setattr("forestall.engine.notifications.notice_of", broken)
    with capture_logs():
        await herald.dispatch([], NOW)
    assert channels.ids == [("team", "u-b.ApprovalRequired")]
    assert herald._isolation.faults == {"notifying": 1}
