"""The operator's process: watches, lease, probes and the cycle, wired together and ended together."""

import asyncio
import contextlib
import gc
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

import structlog

from forestall import __version__
from forestall.adapters.capacity import most_series
from forestall.adapters.change_log import LoggedCluster
from forestall.adapters.dry_run import DryRunCluster, DryRunNotifier
from forestall.adapters.kubernetes import Access, Api, Elector, KubernetesCluster, KubernetesLease, Recorder
from forestall.adapters.notifiers import Channels
from forestall.adapters.prometheus import PrometheusMetrics
from forestall.adapters.sources import Sources
from forestall.api.lease_annotations import INTERVAL, LAST_CYCLE
from forestall.api.times import stamp
from forestall.cli.wiring import RunOptions
from forestall.core.clock_skew import ClockSkew
from forestall.engine import CycleReport, Engine, Settings
from forestall.engine.source_health import SourceHealth
from forestall.errors import LostLease
from forestall.handlers import watch
from forestall.isolation import ends_process
from forestall.logs import configure
from forestall.ports import Cluster, Notifier
from forestall.pruner import Pruner
from forestall.registry import Registry
from forestall.web import AtRisk, Health, Telemetry, WebServer

LEASE = "forestall"
"""The Lease's name, in the operator's namespace."""
_LOOK_AGAIN = 0.2
"""Seconds between two looks at whether the objects have been read, after the start."""

_ALLOCATIONS = 20_000
"""After how many new objects garbage is searched for. A cycle over 1,000 objectives makes some hundred thousand, most
of which live as long as it: after every 700, as Python has it, the search takes a quarter of the cycle's CPU time."""

_log = structlog.get_logger(__name__)


def run(options: RunOptions) -> int:
    """Run the operator until it is told to stop or loses its lead; return the exit code."""
    configure(options.log_level, as_json=options.log_json)
    gc.set_threshold(_ALLOCATIONS)
    return asyncio.run(_run(options))


async def _run(options: RunOptions) -> int:
    registry, stop = Registry(), asyncio.Event()
    failures: list[str] = []

    def fail(why: str) -> None:
        failures.append(why)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        access = await Access.find(str(options.cluster.kubeconfig or ""), options.cluster.context)
        api = await stack.enter_async_context(Api(access))
        # A container that was restarted is another process: the pod's name alone would let it renew for the first.
        elector = Elector(
            KubernetesLease(api, options.namespace, LEASE), f"{options.identity}_{uuid.uuid4().hex[:8]}", fail
        )
        recorder = await stack.enter_async_context(Recorder(api, options.identity))
        cluster = KubernetesCluster(api, recorder, options.namespace, elector.fence)
        settings = settings_of(options)
        telemetry = Telemetry(__version__, lambda: elector.is_leader)
        health = Health(options.interval, lambda: registry.unsynced, lambda: elector.moves)
        metrics = PrometheusMetrics(
            budget=settings.values,
            range_budget=settings.past,
            on_request=telemetry.source_request,
            on_failure=telemetry.source_failure,
        )
        stack.push_async_callback(metrics.close)
        host, port = options.listen
        await stack.enter_async_context(WebServer(health, telemetry, host, port))
        pruner = Pruner(registry, cluster)
        wrapped: Cluster = DryRunCluster(cluster) if options.dry_run else LoggedCluster(cluster)
        notifier: Notifier = DryRunNotifier() if options.dry_run else Channels(registry, cluster.read_secret)
        elector.note(INTERVAL, f"{options.interval:g}s")
        engine = Engine(metrics, wrapped, registry, settings, notifier, lambda: api.clock)
        stack.push_async_callback(engine.close)
        loop = Loop(
            engine,
            Sources(registry, cluster.read_secret, metrics),
            registry,
            elector,
            telemetry,
            health,
        )
        await _run_until(stop, pruner.wait_for_kinds(health.beat))
        if not stop.is_set():
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(_or_fail(work, name, fail), name=name)
                    for name, work in (
                        ("lease", elector.run()),
                        ("pruner", pruner.run()),
                        ("cycles", loop.run(options.interval)),
                        ("watch", watch(registry, access, options.identity)),
                    )
                ]
                await stop.wait()
                for task in background:
                    task.cancel()
        await elector.release()
    if failures:
        _log.error("stopped", why=failures[0])
        return 1
    _log.info("stopped")
    return 0


def settings_of(options: RunOptions) -> Settings:
    """Return what the engine is told, by the options and by what this process may use."""
    return Settings(interval=options.interval, lease=f"{options.namespace}/{LEASE}", series=most_series())


class Loop:
    """Begins a cycle every interval."""

    def __init__(
        self,
        engine: Engine,
        sources: Sources,
        registry: Registry,
        elector: Elector,
        telemetry: Telemetry,
        health: Health,
    ) -> None:
        self._engine = engine
        self._sources = sources
        self._registry = registry
        self._elector = elector
        self._telemetry = telemetry
        self._health = health
        self._skewed = False
        self._silent: frozenset[str] = frozenset()

    async def run(self, interval: float) -> None:
        """Run cycles until cancelled. An error ends the cycle that it happens in, not the loop.

        Who comes to lead while waiting for the next cycle begins it at once: the one before may have left work.

        Raises:
            LostLease: this process does not lead any more.
        """
        while True:
            began, standing_by = time.monotonic(), self._elector.stands_by
            if not self._registry.synced:
                self._health.beat()
                await asyncio.sleep(_LOOK_AGAIN)
                continue
            await self._cycle(interval)
            left = max(0.0, interval - (time.monotonic() - began))
            if standing_by:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._elector.elected(), left)
            else:
                await asyncio.sleep(left)

    async def _cycle(self, interval: float) -> None:
        began, leading, limit = time.monotonic(), self._elector.is_leader, Settings(interval=interval).limit
        try:
            await self._sources.refresh(began)
            async with asyncio.timeout(limit):
                report = await self._engine.cycle(time.time(), leading=leading)
        except LostLease:
            raise
        except TimeoutError:
            self._telemetry.cycle_failed(given_up=True)
            self._health.missed(f"the last was given up after {limit:g} s")
            _log.error("cycle given up", seconds=limit)
        except BaseException as error:
            if ends_process(error):
                raise
            # Whatever it is, the next cycle begins anew from what is written down.
            self._telemetry.cycle_failed()
            self._health.missed(f"the last failed with {type(error).__name__}")
            _log.exception("cycle failed")
        else:
            seconds = time.monotonic() - began
            self._report(report, seconds)
            if leading:
                self._elector.note(LAST_CYCLE, stamp(time.time()))
            _log.debug("cycle", seconds=round(seconds, 3), objectives=len(report.objectives), leading=leading)
            self._health.beat()

    def _report(self, report: CycleReport, seconds: float) -> None:
        self._telemetry.cycle(seconds)
        self._health.note = "; ".join(
            filter(None, (self._report_clocks(report.clocks), self._report_sources(report.sources)))
        )
        risks = [AtRisk(*item) for item in report.probabilities]
        self._telemetry.objectives(Counter(report.objectives.values()), risks)
        self._telemetry.shares(report.over_share)
        self._telemetry.invalid(Counter(item.ref.kind for item in self._registry.invalid()))
        for (verdict, reason), count in report.decisions.items():
            self._telemetry.decision(verdict, reason, count)
        for action, phase in report.ended:
            self._telemetry.remediation(action, phase)
        for doing, count in report.faults.items():
            self._telemetry.internal_error(doing, count)

    def _report_clocks(self, clocks: ClockSkew) -> str:
        """Tell whose clocks are apart."""
        self._telemetry.clocks(clocks.offsets)
        note = "; ".join(filter(None, (clocks.global_reason, *clocks.source_reasons.values())))
        if note:
            _log.warning("clocks are apart", why=note)
        elif self._skewed:
            _log.info("clocks agree again")
        self._skewed = bool(note)
        return note

    def _report_sources(self, sources: Mapping[str, SourceHealth]) -> str:
        """Tell which metric sources do not answer. The process is ready all the same: restarting it would not help."""
        late = {name for name, health in sources.items() if health.late}
        self._telemetry.sources({name: health.up for name, health in sources.items()}, sorted(late))
        silent = frozenset(name for name, health in sources.items() if not health.up)
        for name in sorted(silent - self._silent):
            _log.warning("metric source does not answer", source=name)
        for name in sorted(self._silent - silent):
            _log.info("metric source answers again, or is not used any more", source=name)
        self._silent = silent
        return f"no answers from metric source {', '.join(sorted(silent))}" if silent else ""


async def _run_until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`, or give it up when told to stop."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work)
        stopped = tasks.create_task(stop.wait())
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        for waiter in (task, stopped):
            waiter.cancel()


async def _or_fail(work: Coroutine[Any, Any, None], name: str, fail: Callable[[str], None]) -> None:
    """Do `work`; an error in it ends the whole process, for half an operator is none."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 -- logged, and the process ends
        _log.exception("part failed", part=name)
        fail(f"{name}: {error}")
