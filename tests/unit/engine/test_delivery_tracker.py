"""How long deliveries are waited for, how many run at once, and what is remembered of them."""

import asyncio
from dataclasses import replace

import pytest
from tests.support.virtual_time import run

from forestall.actions.notices import notice_of
from forestall.engine.delivery_tracker import DeliveryTracker
from forestall.errors import NotSent


class Channels:
    """Implements the `Notifier` port: each delivery takes some seconds."""

    def __init__(self, seconds=0.0, error=None):
        self.seconds, self.error = seconds, error
        self.begun, self.sent = [], []
        self.now = self.most = 0

    async def send(self, channel, notice):
        self.begun.append((channel, notice.id))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.seconds)
        self.now -= 1
        if self.error is not None:
            raise self.error
        self.sent.append((channel, notice.id))


@pytest.fixture
def notice(make_remediation):
    one = notice_of(make_remediation(), "Locked", 0.0)
    return lambda number=0: replace(one, id=f"n-{number}")


async def tried(tracker, channel, notice):
    """Return why a notice is not sent, and how long (s) that took to be told."""
    began = asyncio.get_running_loop().time()
    try:
        await tracker.send(channel, notice)
    except NotSent as error:
        return error.reason, str(error), asyncio.get_running_loop().time() - began
    return "", "", asyncio.get_running_loop().time() - began


@pytest.mark.parametrize(
    ("seconds", "wait", "reason", "took"),
    [(0.4, None, "", 0.4), (0.6, None, "Sending", 0.5), (0.6, 1.0, "", 0.6), (1.1, 1.0, "Sending", 1.0)],
)
def test_the_first_call_waits_shortly(notice, seconds, wait, reason, took):
    channels = Channels(seconds)

    async def sent():
        tracker = DeliveryTracker(channels) if wait is None else DeliveryTracker(channels, wait)
        first = await tried(tracker, "team", notice())
        again = await tried(tracker, "team", notice())
        await asyncio.sleep(2.0)
        return first, again, await tried(tracker, "team", notice())

    first, again, last = run(sent())
    assert (first[0], first[2]) == (reason, pytest.approx(took))
    assert (again[0], again[2]) == (reason, 0.0)
    assert last == ("", "", 0.0)
    assert len(channels.sent) == 1
    if reason:
        assert first[1] == "it is on its way by channel team, which has not answered yet"


@pytest.mark.parametrize(("seconds", "reason"), [(29.0, None), (31.0, "ChannelTimeout")])
def test_a_delivery_takes_half_a_minute_at_the_most(notice, seconds, reason):
    async def trouble():
        tracker = DeliveryTracker(Channels(seconds))
        await tried(tracker, "team", notice())
        await asyncio.sleep(40.0)
        return tracker.trouble("team"), tracker.was_sent("team", "n-0")

    found, was_sent = run(trouble())
    assert (found and found.reason, was_sent) == (reason, reason is None)
    assert found is None or str(found) == "channel team took more than 30 s"


def test_a_channel_that_hangs_leaves_room_for_others(notice):
    async def begun():
        channels = Channels(20.0)
        tracker = DeliveryTracker(channels)
        took = [(await tried(tracker, "slow", notice(number)))[2] for number in range(3)]
        took += [(await tried(tracker, f"c{number}", notice()))[2] for number in range(7)]
        most = channels.most
        await tracker.close()
        return took, most, len(channels.begun)

    took, most, begun_count = run(begun())
    # The second notice of a channel that has not answered is not waited for.
    assert took == [pytest.approx(0.5), 0.0, 0.0, *[pytest.approx(0.5)] * 7]
    assert (most, begun_count) == (8, 8)


def test_no_more_than_two_of_one_channel_run_at_once(notice):
    async def most():
        channels = Channels(1.0)
        tracker = DeliveryTracker(channels)
        for number in range(5):
            await tried(tracker, "team", notice(number))
        await asyncio.sleep(10.0)
        return channels.most, len(channels.sent)

    assert run(most()) == (2, 5)


def test_no_more_than_two_hundred_are_on_their_way(notice):
    async def last():
        tracker = DeliveryTracker(Channels(1000.0))
        for number in range(200):
            assert (await tried(tracker, "team", notice(number)))[1].startswith("it is on its way")
        reason, message, _ = await tried(tracker, "team", notice(200))
        known = await tried(tracker, "team", notice(5))
        await tracker.close()
        return reason, message, known[1]

    reason, message, known = run(last())
    assert (reason, message) == ("Sending", "200 notifications are on their way: this one is sent later")
    assert known.startswith("it is on its way")


def test_the_last_thousand_results_are_remembered(notice):
    async def remembered():
        channels = Channels()
        tracker = DeliveryTracker(channels)
        for number in range(1001):
            await tracker.send("team", notice(number))
        known = [tracker.was_sent("team", f"n-{number}") for number in (0, 1, 1000)]
        await tracker.send("team", notice(1000))
        await tracker.send("team", notice(0))
        return known, len(channels.sent), tracker.was_sent("other", "n-5")

    assert run(remembered()) == ([False, True, True], 1002, False)


def test_failure_of_a_delivery_is_returned_once_and_the_next_call_sends_again(notice):
    async def twice():
        channels = Channels(error=NotSent("ChannelDown", "no connection"))
        tracker = DeliveryTracker(channels)
        first = await tried(tracker, "team", notice())
        was_sent = tracker.was_sent("team", "n-0")
        channels.error = None
        return first[:2], was_sent, await tried(tracker, "team", notice()), tracker.trouble("team")

    assert run(twice()) == (("ChannelDown", "no connection"), False, ("", "", 0.0), None)


def test_unexpected_error_of_a_delivery_is_raised_to_its_caller(notice):
    async def raised():
        tracker = DeliveryTracker(Channels(error=RuntimeError("bug")))
        with pytest.raises(RuntimeError, match="bug"):
            await tracker.send("team", notice())
        return tracker.was_used("team"), tracker.trouble("team"), tracker._under_way

    assert run(raised()) == (False, None, {})
