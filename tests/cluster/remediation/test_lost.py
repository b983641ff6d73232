"""An answer that is lost after the server did what was asked, at any write."""


async def test_a_lost_answer_at_any_write_does_nothing_twice(kubernetes, lives, action, all_writes):
    lost = []
    for lost_after in range(1, all_writes):
        before = await lives.before()
        life = await lives.open(action)
        kubernetes.lost_after = lost_after
        await lives.check(action, await lives.finish(life), before)
        lost.append(kubernetes.lost_after <= 0)
        kubernetes.lost_after = -1
    assert lost == sorted(lost, reverse=True)
    assert (lost[4], lost[-1]) == (True, False), "the last boundary is behind the end of its life"
