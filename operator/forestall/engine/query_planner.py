"""Plans the queries of all objectives, and says why some can't be observed."""

from collections.abc import Iterable, Mapping

from forestall.api import MetricSource, ServiceLevelObjective
from forestall.engine.indicator_queries import ObjectiveQueries, plan_queries
from forestall.engine.objective_status import Problem, named
from forestall.errors import InvalidQuery
from forestall.isolation import ErrorIsolation
from forestall.registry import Registry


class QueryPlanner:
    """Turns the registry's objectives into queries, once for each generation of an objective and its source."""

    def __init__(self, registry: Registry, interval: float, isolation: ErrorIsolation | None = None) -> None:
        self._registry = registry
        self._interval = interval
        self._isolation = isolation or ErrorIsolation()
        self._cache: dict[str, tuple[tuple[object, ...], ObjectiveQueries | Problem]] = {}

    def questions(
        self, objectives: Iterable[ServiceLevelObjective]
    ) -> tuple[dict[str, ObjectiveQueries], dict[str, Problem]]:
        """Return the queries of the objectives that can be observed, and the problems of the others, by UID."""
        queries: dict[str, ObjectiveQueries] = {}
        problems: dict[str, Problem] = {}
        for slo in objectives:
            with self._isolation.attempt("compiling", named(slo)) as attempt:
                result = self._of(slo)
            if attempt.failure is not None:
                result = Problem("InternalError", attempt.failure)
            if isinstance(result, Problem):
                problems[slo.uid] = result
            else:
                queries[slo.uid] = result
        self._cache = {uid: cached for uid, cached in self._cache.items() if uid in queries or uid in problems}
        return queries, problems

    def _of(self, slo: ServiceLevelObjective) -> ObjectiveQueries | Problem:
        name = slo.spec.source
        source = self._registry.get(MetricSource, name)
        if source is None:
            invalid = self._registry.is_invalid(MetricSource, name)
            message = (
                f"MetricSource {name!r} {'is invalid' if invalid else 'does not exist'}: ask a cluster admin for it"
            )
            return Problem("SourceMissing", message)
        labels = self._registry.labels(slo.namespace)
        if labels is None or not source.spec.namespaces.matches(labels):
            return Problem("SourceNotAllowed", f"MetricSource {name!r} is not open to namespace {slo.namespace!r}")
        version = (slo.metadata.generation, source.uid, source.metadata.generation)
        cached = self._cache.get(slo.uid)
        if cached is not None and cached[0] == version:
            return cached[1]
        result = self._compile(slo, source)
        self._cache[slo.uid] = (version, result)
        return result

    def _compile(self, slo: ServiceLevelObjective, source: MetricSource) -> ObjectiveQueries | Problem:
        try:
            return plan_queries(slo, source, self._interval)
        except InvalidQuery as error:
            return Problem("InvalidQuery", str(error))


def stale_after(registry: Registry, interval: float, source: str) -> float:
    """Return the age (s) from which a source's data is stale, at least two intervals."""
    metric_source = registry.get(MetricSource, source)
    return max(metric_source.spec.stale_after.seconds if metric_source else 0.0, 2 * interval)


def dependencies(objectives: Mapping[str, ServiceLevelObjective]) -> dict[str, frozenset[str]]:
    """Return the objectives that each objective depends on, by UID; names that do not exist are left out."""
    by_name = {(slo.namespace, slo.name): uid for uid, slo in objectives.items()}
    return {
        uid: frozenset(by_name[slo.namespace, name] for name in slo.spec.depends_on if (slo.namespace, name) in by_name)
        for uid, slo in objectives.items()
    }
