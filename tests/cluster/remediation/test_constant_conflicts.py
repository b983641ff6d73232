"""Constant conflicts on a real API server: people who change a Remediation all the time do not block it."""

import asyncio

from forestall.api.remediation import ObjectRef

WRITERS = 4
CYCLES = 20
"""Enough on a busy machine, too, where the writers are quick beside a cycle."""


async def comment(port, ref, written):
    """Write feedback in a tight loop."""
    while True:
        said = {"verdict": "Unhelpful", "by": "somebody", "comment": str(len(written))}
        await port.patch(ref, {"spec": {"feedback": said}}, "")
        written.append(said)


async def test_cordon_ends_at_its_deadline_while_feedback_is_patched_constantly(lives):
    life = await lives.open("Cordon")
    life = await lives.cycle(life)
    assert (await lives.port.read(life.spec.intent.target))["spec"]["unschedulable"]
    written: list[dict[str, str]] = []
    ref = ObjectRef.to(life)
    writers = [asyncio.ensure_future(comment(lives.port, ref, written)) for _ in range(WRITERS)]
    try:
        async with asyncio.timeout(180):
            while len(written) < 20:  # noqa: ASYNC110 -- it polls
                await asyncio.sleep(0.01)
        before = len(written)
        life = await lives.cycle(life, after=3600)
        for _ in range(CYCLES):
            life = await lives.cycle(life, after=30)
            if life.ended:
                break
        during = len(written) - before
        assert not (await lives.port.read(life.spec.intent.target))["spec"].get("unschedulable")
    finally:
        for writer in writers:
            writer.cancel()
        ended = await asyncio.gather(*writers, return_exceptions=True)
    assert life.ended, life.status
    assert during > 0
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
