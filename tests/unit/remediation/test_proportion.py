"""A raise is compared with what came of it. The kind: what is added makes the next addition look too small."""

import pytest

from forestall.core.sizing import LoadSample, ReplicaCapacity, replicas_for

LIMIT = 100.0


class Service:
    """A workload of 2 replicas whose indicator is asked for in each cycle, as `engine.outlook` does."""

    def __init__(self, run, value, *, starts=1):
        self.run, self.value, self.starts = run, value, starts
        self.ready, self.sizes = 2, []
        run.world.change("Deployment", "checkout", {"spec": {"replicas": 2}})

    async def open(self, most=40, **scale):
        need = replicas_for(self.value(2, 0.0), LIMIT, 2, ReplicaCapacity(None, 0.2)) or 0
        action = {"scale": {"maxReplicas": most, "stabilizationWindow": "5m", **scale}}
        await self.run.open(**{"action": action, "from": 2, "to": min(need, most), "deadline": "1970-01-13T00:00:00Z"})

    async def cycles(self, count, after=10.0):
        """Let time pass; what was asked for is ready a cycle later, and `starts` cycles later where pods are slow."""
        wanted = [2] * self.starts
        for number in range(count):
            wanted.append(self.run.replicas)
            self.ready = wanted[-1 - self.starts]
            value = self.value(self.ready, number * after)
            need = replicas_for(value, LIMIT, self.ready, ReplicaCapacity(None, 0.2))
            await self.run.cycle(
                after,
                breached=value > LIMIT,
                probability=1.0 if value > LIMIT else 0.1,
                replicas_forecast=need,
                replicas_observed=need,
                load=LoadSample(self.ready, value),
            )
            self.sizes.append(self.run.replicas)
        return self.run.world.remediation()


def proportional(remediation):
    return next((each for each in remediation.status.conditions if each.type == "Proportional"), None)


@pytest.mark.parametrize("starts", [1, 4])
@pytest.mark.parametrize("noise", [0.0, 0.2])
async def test_a_total_is_scaled_out_for_once_and_no_further(run, starts, noise):
    service = Service(run, lambda _, at: 240.0 * (1 + noise * (-1) ** (at // 10)), starts=starts)
    await service.open()
    after = await service.cycles(40)
    assert max(service.sizes) == service.sizes[0], service.sizes
    assert after.status.reason == "IndicatorIsTotal"
    assert "with 2 ready replicas" in after.status.message
    assert "type: Declared" in after.status.message
    assert proportional(after).status == "False"


async def test_a_total_is_found_out_below_its_limit_and_by_steps_and_after_a_restart_too(run):
    """Other members of the kind: small steps, and an operator that has forgotten what it saw."""
    service = Service(run, lambda *_: 240.0)
    await service.open(maxStep=2, most=40)
    await service.cycles(1)
    run.restart()
    after = await service.cycles(20)
    assert max(service.sizes) <= 8
    assert after.status.reason == "IndicatorIsTotal"


async def test_a_level_is_followed_however_fast_the_load_grows(run):
    """A load that doubles while pods start, and again after."""
    service = Service(run, lambda ready, at: min(3000.0, 480.0 + 15.0 * at) / ready, starts=3)
    await service.open()
    after = await service.cycles(40)
    assert service.run.replicas == 38, service.sizes  # 3000 of 80 each
    assert proportional(after).reason == "IndicatorFell"


async def test_a_level_that_is_averaged_over_minutes_is_waited_for(run):
    """What falls late is neither taken for a total for good, nor scaled out again before it shows."""
    seen: list[float] = []

    def averaged(ready, _at):
        seen.append(480.0 / ready)
        return sum(seen[-12:]) / len(seen[-12:])

    service = Service(run, averaged)
    await service.open()
    after = await service.cycles(30)
    assert max(service.sizes) < 15, "what 2.4 times the limit on 6 replicas would ask for"
    assert proportional(after).reason == "IndicatorFell"


async def test_it_is_given_back_by_the_usual_rule(run):
    service = Service(run, lambda _, at: 240.0 if at < 600 else 20.0)
    await service.open()
    after = await service.cycles(200, 20.0)
    assert (after.status.phase, run.replicas) == ("RolledBack", 2)


def test_between_a_level_and_a_total_lies_their_geometric_mean():
    assert LoadSample(8, 50.0).fell_like_level(LoadSample(2, 100.0))
    assert not LoadSample(8, 50.1).fell_like_level(LoadSample(2, 100.0))
    assert not LoadSample(4, 1.0).has_outgrown(LoadSample(4, 1.0))
    assert not LoadSample(4, 1.0).has_outgrown(LoadSample(0, 1.0))
