"""Constant conflicts on a real API server: a client that changes an objective all the time prevents no action."""

import asyncio

from forestall.api.remediation import ObjectRef

WRITERS = 3
CYCLES = 10
"""Enough on a busy machine, too, where the writers are quick beside a cycle."""


async def annotate(port, ref, written):
    """Write an annotation in a tight loop."""
    while True:
        await port.patch(ref, {"metadata": {"annotations": {"note": str(len(written))}}}, "")
        written.append(ref)


async def test_remediation_is_created_while_its_objective_is_patched_constantly(world):
    world.policy()
    world.say("load", 50.0)
    await world.cycle(2)  # a status was written before
    ref = ObjectRef.to(world.slo)
    written: list[ObjectRef] = []
    writers = [asyncio.ensure_future(annotate(world.cluster, ref, written)) for _ in range(WRITERS)]
    try:
        async with asyncio.timeout(180):
            while len(written) < 20:  # noqa: ASYNC110 -- it polls
                await asyncio.sleep(0.01)
        world.say("load", 300.0)
        before = len(written)
        for _ in range(CYCLES):
            await world.cycle()
            if world.replicas == 6:
                break
        assert len(written) > before
    finally:
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
    assert world.replicas == 6, world.slo.status
    assert world.slo.status.state == "AtRisk"
