"""A response that is lost after the server has executed the request, at any write."""

import pytest
from tests.cluster.remediation.conftest import FEWEST_WRITES, MOST_WRITES


async def test_lost_response_of_any_write_repeats_no_action(kubernetes, lives, action):
    for lost_after in range(1, MOST_WRITES):
        before = await lives.before()
        life = await lives.open(action)
        kubernetes.lost_after = lost_after
        life = await lives.finish(life)
        is_lost = kubernetes.lost_after <= 0
        kubernetes.lost_after = -1
        await lives.check(action, life, before)
        if not is_lost:
            break
    else:
        pytest.fail(f"a life of {action} does not end after {MOST_WRITES} writes")
    assert lost_after > FEWEST_WRITES[action]
