"""Turns MetricSources into the sources of the Prometheus adapter, and reads their Secrets, periodically again."""

import asyncio

import structlog

from forestall.adapters.http import EndpointReader, ReadSecret, without_secrets
from forestall.adapters.prometheus import NamespaceQuota, PrometheusMetrics, SourceConfig
from forestall.api import MetricSource
from forestall.core.quantity import to_milli
from forestall.engine.concurrency import gather_all
from forestall.errors import ClusterError
from forestall.isolation import ErrorIsolation
from forestall.registry import Registry

_AGAIN = 60.0
"""Seconds after which Secrets are read again, so that rotated credentials are used."""
_PATIENCE = 3.0
"""How long (s) reading the Secrets of one source may take."""

_log = structlog.get_logger(__name__)


class Sources:
    """Keeps the Prometheus adapter's sources in line with the MetricSources."""

    def __init__(self, registry: Registry, read_secret: ReadSecret, metrics: PrometheusMetrics) -> None:
        self._registry = registry
        self._reader = EndpointReader(read_secret)
        self._metrics = metrics
        self._isolation = ErrorIsolation()
        self._cache: dict[str, tuple[int, float, SourceConfig]] = {}  # by UID: generation, when, what

    async def refresh(self, now: float) -> None:
        """Configure the adapter; `now` (s) is of any monotonic clock.

        A source whose Secret can't be read keeps its earlier configuration; without one it is queried without
        credentials, so that its condition shows the source's response to that.
        """
        self._isolation.begin(now)
        sources = self._registry.all(MetricSource)
        await gather_all(self._read(source, now) for source in sources if self._is_due(source, now))
        present = {
            source.name: cached[2]
            for source in sources
            if (cached := self._cache.get(source.uid)) is not None and cached[0] == source.metadata.generation
        }
        uids = self._registry.uids(MetricSource.KIND)
        self._cache = {uid: cached for uid, cached in self._cache.items() if uid in uids}
        self._metrics.set_sources(present)

    def _is_due(self, source: MetricSource, now: float) -> bool:
        cached = self._cache.get(source.uid)
        return cached is None or cached[0] != source.metadata.generation or now - cached[1] >= _AGAIN

    async def _read(self, source: MetricSource, now: float) -> None:
        cached, generation = self._cache.get(source.uid), source.metadata.generation
        before = cached[2] if cached and cached[0] == generation else None
        with self._isolation.attempt("reading credentials", f"MetricSource {source.name}"):
            self._cache[source.uid] = (generation, now, await self._config(source, before))

    async def _config(self, source: MetricSource, before: SourceConfig | None) -> SourceConfig:
        spec = source.spec
        share = NamespaceQuota(
            queries=spec.per_namespace.queries,
            seconds=spec.per_namespace.time.seconds,
            size=to_milli(spec.per_namespace.size) // 1000,
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                return SourceConfig(await self._reader.read(spec.url, spec), share)
        except (ClusterError, TimeoutError) as error:
            why = str(error) or f"no answer within {_PATIENCE:g} s"
            _log.warning("credentials of the metric source not read", source=source.name, error=why)
            return before or SourceConfig(without_secrets(spec.url, spec), share)
