"""Hold while a budget of actions is used up."""

from forestall.core.decision import Hold
from forestall.core.duration import format_duration
from forestall.core.guards.guard_input import GuardInput, RecordedUsage, TokenBucket
from forestall.core.wording import plural


def budget(context: GuardInput) -> Hold | None:
    """Hold when any of the token buckets is empty."""
    for bucket in context.buckets:
        if tokens_left(bucket, context.now) < 1.0:
            return Hold(
                "BudgetExhausted",
                f"{bucket.owner} allows {plural(bucket.size, 'action')} per {format_duration(bucket.per)}, "
                "and all of them are used",
            )
    return None


def tokens_left(bucket: TokenBucket, now: float) -> float:
    """Return the tokens in a bucket that was full at first and from which each time in `spent` took one.

    A replay of Remediations gives the same result before and after a restart. The usage in the status of the Guardrail
    counts as well: Remediations may have been deleted since.
    """
    if bucket.size == 0:
        return 0.0
    written = (
        bucket.size - remaining_usage(bucket.recorded_usage, bucket, now)
        if bucket.recorded_usage is not None
        else float(bucket.size)
    )
    return min(written, _replayed(bucket, now))


def remaining_usage(usage: RecordedUsage, bucket: TokenBucket, now: float) -> float:
    """Return how much of `usage` is not refilled at `now`."""
    return max(0.0, usage.used - max(0.0, now - usage.at) * _rate(bucket))


def _rate(bucket: TokenBucket) -> float:
    return bucket.size / bucket.per if bucket.per > 0 else float("inf")


def _replayed(bucket: TokenBucket, now: float) -> float:
    rate = _rate(bucket)
    left, before = float(bucket.size), None
    for at in sorted(min(time, now) for time in bucket.spent):
        if before is not None:
            left = min(bucket.size, left + (at - before) * rate)
        left, before = left - 1.0, at
    return left if before is None else min(float(bucket.size), left + (now - before) * rate)
