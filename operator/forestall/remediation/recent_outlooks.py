"""What the recent cycles said about each live remediation.

Giving replicas back looks at it, and only when it spans the whole stabilization window: after a restart, that window
begins anew. So does adding more of them, to see whether the last ones show in the indicator.
"""

from collections import deque
from collections.abc import Sequence

from forestall.actions import RiskOutlook, TimedOutlook
from forestall.actions.proportion import REMEMBERED
from forestall.actions.scale import OBSERVED_ALONE
from forestall.api.remediation import Remediation


class RecentOutlooks:
    """The newest outlooks of each live remediation, as far back as its stabilization window, or some minutes."""

    def __init__(self) -> None:
        self._moments: dict[str, deque[TimedOutlook]] = {}

    def add(self, remediation: Remediation, outlook: RiskOutlook | None, now: float) -> Sequence[TimedOutlook]:
        """Remember `outlook`; return what is remembered, oldest first, or nothing when this cycle has no outlook."""
        if outlook is None:
            return ()
        scale = remediation.spec.intent.action.scale
        window = max(scale.stabilization_window.seconds, REMEMBERED, OBSERVED_ALONE) if scale else 0.0
        moments = self._moments.setdefault(remediation.uid, deque())
        moments.append(TimedOutlook(now, outlook))
        # One that is older than the window stays: it shows that the window is spanned.
        while len(moments) > 1 and moments[1].at <= now - window:
            moments.popleft()
        return tuple(moments)

    def forget(self, remediation: Remediation) -> None:
        """Forget a remediation that has ended."""
        self._moments.pop(remediation.uid, None)
