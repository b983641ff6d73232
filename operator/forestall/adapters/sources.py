"""From MetricSources to what the Prometheus adapter asks: their Secrets are read here, and read again now and then."""

from collections.abc import Awaitable, Callable

import structlog

from forestall.adapters.prometheus import PrometheusMetrics, Share, SourceConfig
from forestall.api import MetricSource
from forestall.api.metric_source import SecretKeyRef
from forestall.core.quantity import thousandths
from forestall.errors import ClusterError
from forestall.isolation import Isolation
from forestall.registry import Registry

_AGAIN = 60.0
"""After how many seconds Secrets are read again, so that rotated credentials are used."""

_log = structlog.get_logger(__name__)


class Sources:
    """Keeps the Prometheus adapter's sources as the MetricSources say."""

    def __init__(
        self, registry: Registry, read_secret: Callable[[str, str], Awaitable[str]], metrics: PrometheusMetrics
    ) -> None:
        """`read_secret` returns the text under a key of a Secret in the operator's own namespace."""
        self._registry = registry
        self._read_secret = read_secret
        self._metrics = metrics
        self._isolation = Isolation()
        self._known: dict[str, tuple[int, float, SourceConfig]] = {}  # by UID: generation, when, what

    async def refresh(self, now: float) -> None:
        """Configure the adapter; `now` (s) is of any clock that only runs forwards.

        A source whose Secret can't be read keeps what it had; it is asked without credentials when it had none, so
        that its condition says what the source answers to that.
        """
        self._isolation.begin(now)
        present = {}
        for source in self._registry.all(MetricSource):
            known = self._known.get(source.uid)
            if known is None or known[0] != source.metadata.generation or now - known[1] >= _AGAIN:
                before = known[2] if known and known[0] == source.metadata.generation else None
                with self._isolation.around("reading credentials", f"MetricSource {source.name}"):
                    known = (source.metadata.generation, now, await self._config(source, before))
            if known is not None and known[0] == source.metadata.generation:
                present[source.name] = known[2]
                self._known[source.uid] = known
        uids = self._registry.uids(MetricSource.KIND)
        self._known = {uid: known for uid, known in self._known.items() if uid in uids}
        self._metrics.set_sources(present)

    async def _config(self, source: MetricSource, before: SourceConfig | None) -> SourceConfig:
        spec = source.spec
        plain = SourceConfig(
            url=spec.url,
            headers=spec.headers,
            insecure_skip_verify=spec.tls.insecure_skip_verify,
            timeout=spec.timeout.seconds,
            share=Share(
                queries=spec.per_namespace.queries,
                seconds=spec.per_namespace.time.seconds,
                size=thousandths(spec.per_namespace.size) // 1000,
            ),
        )
        try:
            basic = spec.auth.basic
            return SourceConfig(
                url=plain.url,
                headers=plain.headers,
                bearer_token=await self._secret(spec.auth.bearer_token),
                basic=(await self._text(basic.username), await self._text(basic.password)) if basic else None,
                ca_pem=await self._secret(spec.tls.ca),
                insecure_skip_verify=plain.insecure_skip_verify,
                timeout=plain.timeout,
                share=plain.share,
            )
        except ClusterError as error:
            _log.warning("credentials of the metric source not read", source=source.name, error=str(error))
            return before or plain

    async def _secret(self, ref: SecretKeyRef | None) -> str | None:
        return None if ref is None else await self._text(ref)

    async def _text(self, ref: SecretKeyRef) -> str:
        return await self._read_secret(ref.name, ref.key)
