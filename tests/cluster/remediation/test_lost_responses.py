"""A response that is lost after the server has executed the request, at any write."""


async def test_lost_response_of_any_write_repeats_no_action(kubernetes, lives, action, all_writes):
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
