"""Hold while so much is at risk at once that the cause must be elsewhere: in the monitoring, or in the cluster."""

from collections.abc import Sequence

from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.guards.context import Context


def storm(context: Context) -> Hold | None:
    """Hold while as many objectives as the Guardrails call a storm have come at risk together, and still are."""
    for breaker in context.around.storms:
        count = together(breaker.since, breaker.within)
        if count >= breaker.objectives and count >= breaker.share * breaker.watched:
            return Hold(
                "Storm",
                f"{count} of {breaker.watched} objectives came at risk within {format_duration(breaker.within)}, which "
                f"points to the monitoring or the cluster and not to each workload ({breaker.whose})",
            )
    return None


def together(since: Sequence[float], within: float) -> int:
    """Return the most of these times (s) that lie within `within` s of each other."""
    times, most, first = sorted(since), 0, 0
    for last, at in enumerate(times):
        while at - times[first] > within:
            first += 1
        most = max(most, last - first + 1)
    return most
